// Um modelo inteiro: do texto aos ids, dos ids aos logits, e de volta. Sem DOM: roda no
// Worker e no Node.

import { encodeConversation, fitTurns } from "./chat.js";
import { classify, encodeFramed } from "./classifier.js";
import { GPT, KVCache } from "./gpt.js";
import {
  draw,
  largest,
  nextTokenProbs,
  penalizeRepetition,
  uniforms,
} from "./sampling.js";
import { END, Tokenizer } from "./tokenizer.js";
import { readModel } from "./weights.js";

/** Deixa o Worker ler as mensagens que chegaram; um setTimeout esperaria quatro milésimos. */
function pause() {
  return new Promise((resolve) => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => {
      channel.port1.close();
      resolve();
    };
    channel.port2.postMessage(null);
  });
}

export class Model {
  constructor(buffer) {
    const { header, tensors } = readModel(buffer);
    this.kind = header.kind;
    this.labels = header.labels ?? null;
    this.tokenizer = new Tokenizer(header.tokenizer);
    this.gpt = new GPT(header.config, tensors);
    this.cache = new KVCache(header.config);
    this.cached = []; // os ids que o cache já leu
    const { vocab_size } = header.config; // o modelo pode ter mais ids que o tokenizer
    this.known = Array.from(
      { length: vocab_size },
      (_, id) => id in this.tokenizer.bytes,
    );
  }

  get about() {
    const { config, params } = this.gpt;
    return { kind: this.kind, labels: this.labels, config, params };
  }

  encode(text) {
    return this.tokenizer.encodeText(text);
  }

  tokens(text) {
    return this.tokenizer.tokens(text);
  }

  decode(ids) {
    return this.tokenizer.decode(ids);
  }

  only(kind, what) {
    if (this.kind !== kind)
      throw new Error(`este modelo não ${what}; abra um que seja ${kind}`);
  }

  /** Os logits do que vem depois de `ids`; o que o cache já leu não se lê de novo. */
  logits(ids) {
    const limit = this.gpt.config.context_length;
    const window = ids.slice(-limit);
    let common = 0;
    while (common < window.length - 1 && this.cached[common] === window[common])
      common++;
    this.cache.length = common;
    this.cached = window.slice(0, common); // se o resto tem um erro, é o que fica
    const features = this.gpt.features(window.slice(common), this.cache);
    this.cached = window;
    const logits = this.gpt.head(features);
    for (let id = 0; id < logits.length; id++)
      if (!this.known[id]) logits[id] = -Infinity;
    return logits;
  }

  /** Um prompt vazio começa um documento novo. */
  start(ids) {
    return ids.length ? Array.from(ids) : [this.tokenizer.endId];
  }

  /** Os `top` mais prováveis: `[{id, text, p}]`. */
  ranking(probs, top) {
    const likely = largest(probs, top).filter((id) => this.known[id]);
    return likely.map((id) => ({ id, text: this.decode([id]), p: probs[id] }));
  }

  next(ids, { top = 10, temperature = 1 } = {}) {
    this.only("GPT", "continua textos");
    return this.ranking(
      nextTokenProbs(this.logits(this.start(ids)), { temperature }),
      top,
    );
  }

  /**
   * Gera; devolve os ids novos, sem a marca que os encerrou. `random` é de onde saem os
   * sorteios.
   */
  async stream(ids, options = {}, onToken = () => {}, stopped = () => false) {
    this.only("GPT", "continua textos");
    const {
      maxNewTokens = 100,
      temperature = 1,
      topK = null,
      topP = null,
      repetitionPenalty = 1,
    } = options;
    const {
      seed = Math.floor(Math.random() * 2 ** 32),
      top = 10,
      random = uniforms(seed),
    } = options;
    const stops = options.stops ?? [this.tokenizer.specials[END]];
    const all = this.start(ids);
    const fresh = [];
    const text = this.tokenizer.decoder();
    while (fresh.length < maxNewTokens && !stopped()) {
      let logits = this.logits(all);
      if (repetitionPenalty !== 1)
        logits = penalizeRepetition(logits, all, repetitionPenalty);
      const probs = nextTokenProbs(logits, { temperature, topK, topP });
      const id = temperature === 0 ? largest(probs, 1)[0] : draw(probs, random());
      if (stops.includes(id)) break;
      all.push(id);
      fresh.push(id);
      onToken({ id, text: text(id), p: probs[id], top: this.ranking(probs, top) });
      await pause();
    }
    return fresh;
  }

  /** `{n, layers, heads, weights}`: weights[l][h] é (n, n), a linha olha para a coluna. */
  attention(ids, { causal = true } = {}) {
    const { n_layers, n_heads, context_length } = this.gpt.config;
    const seen = this.start(ids).slice(-context_length);
    const n = seen.length;
    const weights = Array.from({ length: n_layers }, () =>
      Array.from({ length: n_heads }, () => new Float32Array(n * n)),
    );
    const onAttention = (block, head, t, row) => weights[block][head].set(row, t * n);
    this.gpt.features(seen, new KVCache(this.gpt.config), { causal, onAttention });
    return { n, layers: n_layers, heads: n_heads, weights };
  }

  /** O que a última posição prevê antes do primeiro bloco e depois de cada um. */
  lens(ids, { top = 10 } = {}) {
    this.only("GPT", "continua textos");
    const { emb_dim: C, context_length } = this.gpt.config;
    const seen = this.start(ids).slice(-context_length);
    const stages = [];
    const onBlock = (block, x) => {
      const last = x.slice(-C);
      const probs = nextTokenProbs(this.gpt.head(this.gpt.norm(last)));
      const shape = [seen.length, C];
      stages.push({
        block,
        norm: Math.hypot(...last),
        shape,
        top: this.ranking(probs, top),
      });
    };
    this.gpt.features(seen, new KVCache(this.gpt.config), { onBlock });
    return stages;
  }

  classify(text) {
    this.only("GPTClassifier", "classifica");
    return classify(this.gpt, this.tokenizer, this.labels, text);
  }

  /**
   * Quanto cada token pesa: as probabilidades das classes com o texto inteiro e sem cada um
   * dos tokens, do último ao primeiro (assim o cache poupa o começo). `onToken({tokens,
   * whole})`, e depois `onToken({n, without})`.
   */
  async contributions(text, options = {}, onToken = () => {}, stopped = () => false) {
    this.only("GPTClassifier", "classifica");
    const { context_length } = this.gpt.config;
    const ids = encodeFramed(this.tokenizer, text, context_length);
    const tokens = this.tokenizer.describe(ids.slice(1, -1));
    const classes = (seen) => Array.from(nextTokenProbs(this.logits(seen)));
    const whole = classes(ids);
    onToken({ tokens, whole });
    const without = [];
    for (let n = tokens.length - 1; n >= 0 && !stopped(); n--) {
      without[n] = classes(ids.filter((_, at) => at !== n + 1));
      onToken({ n, without: without[n] });
      await pause();
    }
    return { tokens, whole, without };
  }

  /** O prompt como o modelo o vê, e os turnos que saíram da janela. */
  chatPrompt(turns, { system = "" } = {}) {
    const context = this.gpt.config.context_length;
    const window = fitTurns(
      this.tokenizer,
      turns,
      system,
      context - Math.floor(context / 2),
    );
    const ids = encodeConversation(this.tokenizer, window, system);
    const dropped = turns.slice(0, turns.length - window.length);
    return { ids, tokens: this.tokenizer.describe(ids), dropped };
  }

  /** A resposta ao último turno; para na primeira marca. */
  async chat(turns, options = {}, onToken, stopped) {
    if (!turns.at(-1)?.[0]?.trim())
      throw new Error("a mensagem está vazia; escreva alguma coisa");
    const { ids } = this.chatPrompt(turns, options);
    const defaults = {
      temperature: 0,
      maxNewTokens: Math.floor(this.gpt.config.context_length / 2),
    };
    const stops = Object.values(this.tokenizer.specials);
    return this.decode(
      await this.stream(ids, { ...defaults, ...options, stops }, onToken, stopped),
    );
  }
}
