// O modelo, para quem desenha na página: carrega o arquivo, fala com o Worker, devolve
// promessas. `const model = await load("contos-mini", { onProgress: (fraction) => … })`:
//
//   encode(text) → ids: o texto normalizado em NFC; os especiais são texto comum
//   tokens(text) → [{id, text, bytes}]
//   decode(ids) → texto
//   next(ids, {top = 10, temperature = 1}) → [{id, text, p}]; sem ids, começa um documento
//   logits(ids) → Float32Array, uma nota por token do vocabulário
//   stream(ids, {maxNewTokens, temperature, topK, topP, repetitionPenalty, seed, signal,
//     onToken}) → os ids novos, sem o <|endoftext|> que os encerra. Em
//     onToken({id, text, p, top}), `text` são os caracteres que ficaram inteiros com este
//     token (juntos, dão o texto), e `top`, os dez mais prováveis
//   attention(ids, {causal = true}) → {n, layers, heads, weights}; weights[l][h] é um
//     Float32Array n×n: a linha i diz quanto a posição i olha para cada j
//   lens(ids, {top = 10}) → [{block, norm, shape, top}]; block 0 é antes do primeiro bloco
//   classify(text) → {label, probabilities: [{label, p}]}
//   contributions(text, {signal, onToken}) → {tokens, whole, without}: as probabilidades
//     das classes com o texto inteiro e sem cada token; onToken({tokens, whole}), e depois
//     onToken({n, without})
//   chat(turns, {system, signal, onToken, …}) → texto; turns são pares
//     [usuário, assistente], e o assistente do último é null
//   chatPrompt(turns, {system}) → {ids, tokens, dropped}: os turnos que saíram da janela
//   config (os campos de GPTConfig), labels, kind, info = {bytes, params}
//
// Um erro é uma frase em português que diz o que fazer (error.message).

import { markConversation } from "./motor/chat.js";
import { Tokenizer } from "./motor/tokenizer.js";

const METHODS = [
  "encode",
  "tokens",
  "decode",
  "logits",
  "next",
  "attention",
  "lens",
  "classify",
  "chatPrompt",
];
const STREAMED = ["stream", "chat", "contributions"];
const models = new Map(); // nome → promessa
const tokenizers = new Map();

const where = (file) => new URL(`../modelos/${file}`, import.meta.url);

/** Os bytes de um arquivo do site; `onProgress` recebe a fração que já chegou. */
async function download(file, onProgress = () => {}) {
  let response;
  try {
    response = await fetch(where(file));
  } catch {
    throw new Error("o modelo não chegou; confira a rede e tente de novo");
  }
  if (!response.ok)
    throw new Error(
      `o modelo não chegou (erro ${response.status}); tente de novo mais tarde`,
    );
  const total = Number(response.headers.get("Content-Length"));
  const chunks = [];
  let size = 0;
  const reader = response.body.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    chunks.push(part.value);
    size += part.value.length;
    if (total) onProgress(Math.min(1, size / total));
  }
  onProgress(1);
  return new Blob(chunks).arrayBuffer();
}

const OLD = "este navegador não conseguiu abrir o modelo; atualize-o ou use outro";
const WORKER = new URL("./worker.js", import.meta.url);

/** O modelo de um arquivo já lido, num Worker. */
export async function open(
  buffer,
  start = () => new Worker(WORKER, { type: "module" }),
) {
  const waiting = new Map(); // número do pedido → o que fazer com a resposta
  let number = 0;
  let worker;
  try {
    worker = start();
  } catch {
    throw new Error(OLD);
  }
  worker.onmessage = ({ data: { id, result, token, error } }) => {
    const { resolve, reject, onToken } = waiting.get(id);
    if (token) {
      onToken?.(token);
      return;
    }
    waiting.delete(id);
    if (error !== undefined) reject(new Error(error));
    else resolve(result);
  };
  worker.onerror = (event) => {
    event.preventDefault();
    const error = new Error(OLD);
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  };
  const ask = (method, args, { onToken, signal, transfer = [] } = {}) =>
    new Promise((resolve, reject) => {
      const id = ++number;
      waiting.set(id, { resolve, reject, onToken });
      signal?.addEventListener("abort", () => worker.postMessage({ stop: id }));
      worker.postMessage({ id, method, args }, transfer);
      if (signal?.aborted) worker.postMessage({ stop: id });
    });
  const streamed =
    (method) =>
    (input, { onToken, signal, ...options } = {}) =>
      ask(method, [input, options], { onToken, signal });
  const bytes = buffer.byteLength;
  const { params, ...about } = await ask("open", [buffer], { transfer: [buffer] });
  const model = { ...about, info: { bytes, params } };
  for (const method of STREAMED) model[method] = streamed(method);
  for (const method of METHODS) model[method] = (...args) => ask(method, args);
  return model;
}

/** Guarda a promessa em `kept`; a que falha sai, para que se possa tentar de novo. */
function once(kept, name, make) {
  if (!kept.has(name)) {
    const promise = make();
    kept.set(name, promise);
    promise.catch(() => kept.delete(name));
  }
  return kept.get(name);
}

/** Um modelo do site, pelo nome: um só por página. */
export function load(name, { onProgress } = {}) {
  return once(models, name, async () =>
    open(await download(`${name}.bin`, onProgress)),
  );
}

/**
 * Só o tokenizer, sem os pesos: encode, tokens, decode, vocabSize, e
 * conversation(turns, {system}) → {tokens, written}.
 */
export function loadTokenizer(name) {
  return once(tokenizers, name, async () => {
    const data = JSON.parse(
      new TextDecoder().decode(await download(`${name}.tokenizer.json`)),
    );
    const tokenizer = new Tokenizer(data);
    return {
      vocabSize: tokenizer.vocabSize,
      encode: async (text) => tokenizer.encodeText(text),
      tokens: async (text) => tokenizer.tokens(text),
      decode: async (ids) => tokenizer.decode(ids),
      conversation: async (turns, { system = "" } = {}) => {
        const { ids, written } = markConversation(tokenizer, turns, system);
        return { tokens: tokenizer.describe(ids), written };
      },
    };
  });
}
