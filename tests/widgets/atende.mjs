// O motor atrás de uma linha de comando: um pedido em JSON por linha, uma resposta em JSON por linha.
// Serve aos testes em Python (tests/no_node.py), que comparam o motor com o pacote.

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

import { Model } from "../../widgets/motor/engine.js";
import { KVCache } from "../../widgets/motor/gpt.js";
import { draw, nextTokenProbs, penalizeRepetition, uniforms } from "../../widgets/motor/sampling.js";
import { Tokenizer } from "../../widgets/motor/tokenizer.js";

let model;
let tokenizer;

const methods = {
  open(path) {
    const file = readFileSync(path);
    model = new Model(file.buffer.slice(file.byteOffset, file.byteOffset + file.length));
    tokenizer = model.tokenizer;
    return model.about;
  },
  tokenizer(about) {
    tokenizer = new Tokenizer(about);
  },
  ids: (texts) => texts.map((text) => tokenizer.encode(text)),
  idsNFC: (texts) => texts.map((text) => tokenizer.encodeText(text)),
  texts: (lists) => lists.map((ids) => tokenizer.decode(ids)),
  /** Os logits da última posição, com o prompt lido em pedaços destes tamanhos. */
  logits(ids, sizes) {
    const cache = new KVCache(model.gpt.config);
    let features;
    let start = 0;
    for (const size of sizes) features = model.gpt.features(ids.slice(start, (start += size)), cache);
    return Array.from(model.gpt.head(features));
  },
  probs: (logits, options) => Array.from(nextTokenProbs(Float32Array.from(logits), options)),
  penalize: (logits, ids, penalty) => Array.from(penalizeRepetition(Float32Array.from(logits), ids, penalty)),
  draws: (probs, numbers) => numbers.map((u) => draw(Float32Array.from(probs), u)),
  uniforms(seed, count) {
    const next = uniforms(seed);
    return Array.from({ length: count }, next);
  },
  /** Gera com os uniformes dados, um por token. */
  generate(ids, options, numbers) {
    const queue = [...numbers];
    return model.stream(ids, { ...options, random: () => queue.shift() });
  },
  chat: (turns, options) => model.chat(turns, options),
  attention(ids, options) {
    const { weights, ...sizes } = model.attention(ids, options);
    return { ...sizes, weights: weights.map((heads) => heads.map((one) => Array.from(one))) };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { method, args } = JSON.parse(line);
  let answer;
  try {
    answer = { result: await (methods[method] ? methods[method](...args) : model[method](...args)) };
  } catch (error) {
    answer = { error: error.message };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
