// O motor sozinho: o que ele recusa, e com que frase; o que não pode depender do que veio antes.

import assert from "node:assert/strict";
import test from "node:test";

import { encodeFramed } from "../../widgets/motor/classifier.js";
import { Model } from "../../widgets/motor/engine.js";
import { gelu, layerNorm, linear } from "../../widgets/motor/gpt.js";
import { draw, largest, nextTokenProbs, penalizeRepetition, uniforms } from "../../widgets/motor/sampling.js";
import { Tokenizer } from "../../widgets/motor/tokenizer.js";
import { readModel } from "../../widgets/motor/weights.js";

const PATTERN = "[ '’\\-]?[\\p{L}\\p{M}]{1,64}|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]{1,32}|[\\r\\n]{1,16}|\\s{1,32}(?!\\S)|\\s";
const MARKS = { "<|endoftext|>": 256, "<|sistema|>": 257, "<|usuario|>": 258, "<|assistente|>": 259 };
const letters = (specials = MARKS) => ({
  pattern: PATTERN,
  tokens: Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte)),
  ids: null,
  special_tokens: specials,
});

/** O arquivo de um modelo pequeno, de pesos sorteados, como `pack_model` o escreve. */
function pack(changes = {}) {
  const config = { vocab_size: 262, context_length: 16, emb_dim: 8, n_heads: 2, n_layers: 2 };
  const C = config.emb_dim;
  const shapes = {
    "token_embedding.weight": [config.vocab_size, C],
    "position_embedding.weight": [config.context_length, C],
  };
  for (let n = 0; n < config.n_layers; n++) {
    for (const [name, rows, cols] of [
      ["attention.qkv", 3 * C, C],
      ["attention.proj", C, C],
      ["mlp.expand", 4 * C, C],
      ["mlp.proj", C, 4 * C],
    ]) {
      shapes[`blocks.${n}.${name}.weight`] = [rows, cols];
      shapes[`blocks.${n}.${name}.bias`] = [rows];
    }
    for (const name of ["norm1", "norm2"]) {
      shapes[`blocks.${n}.${name}.weight`] = [C];
      shapes[`blocks.${n}.${name}.bias`] = [C];
    }
  }
  shapes["norm.weight"] = [C];
  shapes["norm.bias"] = [C];
  const random = uniforms(1);
  const parts = [];
  let size = 0;
  const put = (array) => {
    const start = size;
    const padded = new Uint8Array(Math.ceil(array.byteLength / 4) * 4);
    padded.set(new Uint8Array(array.buffer));
    parts.push(padded);
    size += padded.length;
    return start;
  };
  const tensors = {};
  for (const [name, shape] of Object.entries(shapes)) {
    tensors[name] = { shape };
    if (shape.length === 2) {
      const data = Int8Array.from({ length: shape[0] * shape[1] }, () => random() * 254 - 127);
      tensors[name].offset = put(data);
      tensors[name].scales = put(new Float32Array(shape[0]).fill(0.01));
    } else {
      tensors[name].offset = put(Float32Array.from({ length: shape[0] }, () => random() * 2 - 1));
    }
  }
  const header = { version: 1, kind: "GPT", config, labels: null, tokenizer: letters(), tensors, bytes: size };
  return join({ ...header, ...changes }, parts);
}

function join(header, parts) {
  const text = new TextEncoder().encode(JSON.stringify(header));
  const about = new Uint8Array(4);
  new DataView(about.buffer).setUint32(0, text.length, true);
  return new Uint8Array(Buffer.concat([Buffer.from("HOMELLM\n"), about, text, ...parts])).buffer;
}

test("o arquivo cortado, de outro tipo ou de outra versão é recusado com uma frase", () => {
  const whole = pack();
  readModel(whole);
  const damaged = /incompleto ou estragado/;
  for (const size of [8, 9, 11, 12, 100, whole.byteLength - 1]) {
    assert.throws(() => readModel(whole.slice(0, size)), damaged, `${size} bytes`);
  }
  assert.throws(() => readModel(join({}, []).slice(0, 13)), damaged);
  assert.throws(() => readModel(new ArrayBuffer(0)), /não é o arquivo de um modelo/);
  assert.throws(() => readModel(new TextEncoder().encode("<!doctype html>").buffer), /não é o arquivo de um modelo/);
  assert.throws(() => readModel(pack({ version: 2 })), /é da versão 2/);
});

test("linear: contra a conta por extenso, com linhas e vetores que sobram", () => {
  const random = uniforms(2);
  for (const [T, rows, cols] of [[1, 1, 1], [3, 5, 7], [2, 8, 3], [1, 6, 2], [5, 3, 4]]) {
    const data = Int8Array.from({ length: rows * cols }, () => random() * 254 - 127);
    const scales = Float32Array.from({ length: rows }, random);
    const bias = Float32Array.from({ length: rows }, random);
    const x = Float64Array.from({ length: T * cols }, random);
    const y = new Float64Array(T * rows);
    linear(y, x, T, { rows, cols, data, scales }, bias);
    for (let t = 0; t < T; t++) {
      for (let row = 0; row < rows; row++) {
        let sum = 0;
        for (let i = 0; i < cols; i++) sum += data[row * cols + i] * scales[row] * x[t * cols + i];
        assert.ok(Math.abs(y[t * rows + row] - sum - bias[row]) < 1e-9);
      }
    }
  }
});

test("layerNorm e gelu: valores feitos à mão", () => {
  const y = new Float64Array(2);
  layerNorm(y, Float64Array.of(1, 3), 1, { weight: Float32Array.of(1, 2), bias: Float32Array.of(0, 1) });
  assert.ok(Math.abs(y[0] + 1) < 1e-5 && Math.abs(y[1] - 3) < 1e-5);
  const x = Float64Array.of(0, 1, -1, 10, -10);
  gelu(x);
  [0, 0.841192, -0.158808, 10, 0].forEach((value, i) => assert.ok(Math.abs(x[i] - value) < 1e-6));
});

test("largest: a ordem, os empates, e k maior que a lista", () => {
  assert.deepEqual(largest(Float32Array.of(1, 3, 2, 3), 3), [1, 3, 2]);
  assert.deepEqual(largest(Float32Array.of(1, 1, 1), 2), [0, 1]);
  assert.deepEqual(largest(Float32Array.of(2, -Infinity), 9), [0, 1]);
});

test("a distribuição: temperatura 0, top-k, top-p, e o que se recusa", () => {
  const logits = Float32Array.of(1, 3, 2, -Infinity);
  assert.deepEqual(Array.from(nextTokenProbs(logits, { temperature: 0 })), [0, 1, 0, 0]);
  assert.equal(nextTokenProbs(logits, { topK: 2 })[0], 0);
  assert.deepEqual(Array.from(nextTokenProbs(logits, { topP: 0.5 })), [0, 1, 0, 0]);
  for (const options of [{ temperature: -1 }, { temperature: NaN }, { topK: 0 }, { topP: 0 }, { topP: 1.5 }]) {
    assert.throws(() => nextTokenProbs(logits, options), /precisa/);
  }
  assert.throws(() => nextTokenProbs(Float32Array.of(NaN, NaN)), /NaN ou infinito/);
  assert.throws(() => nextTokenProbs(Float32Array.of(1, NaN)), /NaN ou infinito/);
  assert.throws(() => penalizeRepetition(logits, [0], 0.5), /precisa ser 1 ou mais/);
});

test("draw nunca devolve um id de probabilidade zero", () => {
  const probs = Float32Array.of(0, 0.25, 0, 0.75, 0);
  assert.deepEqual([0, 0.2499, 0.25, 0.9999999].map((u) => draw(probs, u)), [1, 1, 3, 3]);
  assert.equal(draw(Float32Array.of(0.4, 0.4, 0), 0.99), 1);
});

test("o tokenizer recusa o que não é texto, o pré-corte que não conhece e o id que não existe", () => {
  const tokenizer = new Tokenizer(letters());
  assert.throws(() => tokenizer.encode(undefined), /esperava um texto/);
  assert.throws(() => tokenizer.encode("oi \ud83d"), /posição 3/);
  assert.throws(() => tokenizer.decode([5, 9999]), /9999 não está no vocabulário/);
  assert.throws(() => new Tokenizer({ ...letters(), pattern: "." }), /não é o do livro nem o do GPT-2/);
  assert.deepEqual(tokenizer.encode(""), []);
  assert.equal(tokenizer.encode("<|endoftext|>").length, 13);
  assert.equal(tokenizer.decode([239, 187, 191, 97]), "\ufeffa"); // a marca de ordem também é texto
});

test("os pedaços de um caractere, aos poucos, dão o caractere inteiro", () => {
  const tokenizer = new Tokenizer(letters());
  const decode = tokenizer.decoder();
  assert.deepEqual(tokenizer.encode("é🍎").map((id) => decode(id)), ["", "é", "", "", "", "🍎"]);
  assert.equal(decode(), "");
  const cut = tokenizer.decoder();
  cut(240);
  assert.equal(cut(), "�");
});

test("a moldura do classificador: fica o começo, e o fim está sempre lá", () => {
  const tokenizer = new Tokenizer(letters());
  assert.deepEqual(encodeFramed(tokenizer, "abcdef", 5), [256, 97, 98, 99, 256]);
  assert.deepEqual(encodeFramed(tokenizer, "", 5), [256, 256]);
  assert.throws(() => encodeFramed(new Tokenizer(letters({})), "a", 5), /não tem <\|endoftext\|>/);
});

test("a mesma semente gera o mesmo; o texto dos tokens, junto, é o texto", async () => {
  const model = new Model(pack());
  const seen = [];
  const options = { maxNewTokens: 40, seed: 3 };
  const ids = await model.stream([97, 98], options, (token) => seen.push(token));
  assert.equal(ids.length, 40); // passa da janela de 16
  assert.deepEqual(seen.map((token) => token.id), ids);
  assert.ok(model.decode(ids).startsWith(seen.map((token) => token.text).join("")));
  assert.deepEqual(await new Model(pack()).stream([97, 98], options), ids);
  assert.notDeepEqual(await model.stream([97, 98], { ...options, seed: 4 }), ids);
  for (const { id, p, top } of seen) {
    assert.ok(top.length === 10 && top.every((item, n) => n === 0 || item.p <= top[n - 1].p));
    assert.ok(p > 0 && p <= top[0].p && (id !== top[0].id || p === top[0].p));
  }
});

test("gerar para quando mandam, e duas gerações ao mesmo tempo não se atrapalham", async () => {
  const model = new Model(pack());
  let count = 0;
  const ids = await model.stream([97], { maxNewTokens: 50, seed: 1 }, () => count++, () => count >= 7);
  assert.equal(ids.length, 7);
  const alone = await new Model(pack()).stream([99], { maxNewTokens: 20, seed: 2 });
  const [, together] = await Promise.all([
    model.stream([97], { maxNewTokens: 20, seed: 1 }),
    model.stream([99], { maxNewTokens: 20, seed: 2 }),
  ]);
  assert.deepEqual(together, alone);
});

test("sem ids, começa um documento; ids sem texto nunca saem", async () => {
  const model = new Model(pack()); // 262 ids no modelo, 260 no tokenizer
  assert.deepEqual(model.next([]), model.next([256]));
  assert.equal(model.next([97], { top: 300 }).find((item) => item.id >= 260 && item.p > 0), undefined);
  const stream = await model.stream([], { maxNewTokens: 12, temperature: 5, seed: 8 });
  assert.ok(stream.every((id) => id < 260));
});

test("o que o modelo não faz é dito, e um id estranho é recusado", async () => {
  const model = new Model(pack());
  assert.throws(() => model.classify("oi"), /não classifica/);
  await assert.rejects(model.stream([97, 12345]), /o id 12345 não está no vocabulário/);
  await assert.rejects(model.stream([1.5]), /não está no vocabulário/);
  await assert.rejects(model.stream([97], { temperature: -1 }), /a temperatura precisa/);
  await assert.rejects(model.chat([["", null]]), /está vazia/);
  assert.throws(() => model.next([98, 99, 12345]), /não está no vocabulário/);
  assert.deepEqual(model.next([98, 99, 100]), new Model(pack()).next([98, 99, 100])); // e segue funcionando
});

test("texto que não acaba: cem mil letras, controle e emojis passam sem erro", () => {
  const model = new Model(pack());
  for (const text of ["a".repeat(100_000), "\u0000\u0007\u001b".repeat(1000), "🍎👩‍👩‍👧".repeat(10_000)]) {
    const ids = model.encode(text);
    assert.equal(model.decode(ids), text);
    assert.equal(model.next(ids).length, 10); // lê a janela
    assert.equal(model.attention(ids).n, 16);
    assert.deepEqual(model.lens(ids)[2].shape, [16, 8]);
  }
});
