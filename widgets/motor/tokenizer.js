// O BPE em bytes do capítulo 2: o mesmo pré-corte, as mesmas fusões, os mesmos ids.

import { CLASSES } from "./unicode.js";

export const END = "<|endoftext|>";

const KNOWN = [
  "[ '’\\-]?[\\p{L}\\p{M}]{1,64}|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]{1,32}|[\\r\\n]{1,16}|\\s{1,32}(?!\\S)|\\s",
  "'(?:[sdmt]|ll|ve|re)| ?\\p{L}++| ?\\p{N}++| ?[^\\s\\p{L}\\p{N}]++|\\s++$|\\s+(?!\\S)|\\s", // GPT-2
];

/** Uma classe por extenso, para dentro de colchetes: `\u{41}-\u{5a}…`. */
function ranges(name) {
  let end = 0;
  const numbers = CLASSES[name].split(" ").map((digits) => parseInt(digits, 36));
  let out = "";
  for (let i = 0; i < numbers.length; i += 2) {
    const start = end + numbers[i];
    end = start + numbers[i + 1];
    out += `\\u{${start.toString(16)}}-\\u{${(end - 1).toString(16)}}`;
  }
  return out;
}

/**
 * O padrão do pacote, como expressão do JavaScript. As classes vão por extenso: as do
 * navegador são as do Unicode que ele conhece. E `++` vira `+`: nestes padrões, o que
 * vem depois nunca se contenta com menos.
 */
function compile(pattern) {
  if (!KNOWN.includes(pattern)) {
    throw new Error(
      "este pré-corte não é o do livro nem o do GPT-2; a página não o conhece",
    );
  }
  const loose = pattern.replaceAll("++", "+").replaceAll("\\S", "[^\\s]");
  const source = loose.replace(/\[[^\]]*\]|\\p\{(.)\}|\\s/g, (part) => {
    const open = part
      .replace(/\\p\{(.)\}/g, (_, name) => ranges(name))
      .replaceAll("\\s", ranges("s"));
    return part.startsWith("[") ? open : `[${open}]`;
  });
  return new RegExp(source, "gu");
}

const encoder = new TextEncoder();

/** Os bytes de um texto, uma letra Latin-1 por byte: assim eles são chaves de um Map. */
function toBytes(text) {
  let out = "";
  for (const byte of encoder.encode(text)) out += String.fromCharCode(byte);
  return out;
}

/** Fila de prioridade: `pop` tira o menor número. */
class Queue {
  items = [];

  get size() {
    return this.items.length;
  }

  push(value) {
    const { items } = this;
    let i = items.push(value) - 1;
    for (let up = (i - 1) >> 1; i > 0 && items[up] > value; i = up, up = (i - 1) >> 1)
      items[i] = items[up];
    items[i] = value;
  }

  pop() {
    const { items } = this;
    const least = items[0];
    const value = items.pop();
    let i = 0;
    for (let down = 1; down < items.length; i = down, down = 2 * i + 1) {
      if (items[down + 1] < items[down]) down++;
      if (items[down] >= value) break;
      items[i] = items[down];
    }
    if (items.length) items[i] = value;
    return least;
  }
}

export class Tokenizer {
  /**
   * `tokens`: os bytes de cada token, em Latin-1, na ordem das fusões; `ids`: o id de
   * cada um, ou null se é o lugar dele na lista.
   */
  constructor({ pattern, tokens, ids = null, special_tokens }) {
    this.cut = compile(pattern);
    this.ranks = new Map(tokens.map((token, rank) => [token, rank]));
    this.ids = ids;
    this.specials = special_tokens;
    this.bytes = []; // id → bytes, em Latin-1
    tokens.forEach((token, rank) => (this.bytes[ids ? ids[rank] : rank] = token));
    for (const [name, id] of Object.entries(special_tokens))
      this.bytes[id] = toBytes(name);
    this.vocabSize = this.bytes.length;
    this.cache = new Map(); // pedaço → ids
  }

  get endId() {
    if (!(END in this.specials)) {
      throw new Error(`o tokenizer não tem ${END}, que marca o fim de um documento`);
    }
    return this.specials[END];
  }

  /** Os ids de um texto; um especial escrito nele é texto comum. */
  encode(text) {
    if (typeof text !== "string") throw new TypeError("esperava um texto");
    const alone = /[\ud800-\udfff]/u.exec(text);
    if (alone) {
      const half = `o texto tem metade de um caractere na posição ${alone.index}`;
      throw new Error(`${half}; apague-a e escreva de novo`);
    }
    const ids = [];
    for (const [piece] of text.matchAll(this.cut)) {
      let found = this.cache.get(piece);
      if (!found) {
        found = this.merge(toBytes(piece)).map((rank) =>
          this.ids ? this.ids[rank] : rank,
        );
        if (piece.length <= 64 && this.cache.size < 50000) this.cache.set(piece, found);
      }
      for (const id of found) ids.push(id);
    }
    return ids;
  }

  /** Os ids de um texto que um modelo vai ler: normalizado em NFC antes. */
  encodeText(text) {
    return this.encode(typeof text === "string" ? text.normalize("NFC") : text);
  }

  /**
   * Os postos em que um pedaço se corta: funde sempre o par vizinho de menor posto, o
   * mais à esquerda no empate. Os pares esperam numa fila de prioridade, e um que mudou
   * de posto é pulado quando sai dela.
   */
  merge(piece) {
    const whole = this.ranks.get(piece);
    if (whole !== undefined) return [whole];
    const size = piece.length;
    const next = Array.from({ length: size + 2 }, (_, i) => i + 1); // a parte seguinte
    const before = Array.from({ length: size + 2 }, (_, i) => i - 1);
    const ranks = new Array(size).fill(Infinity); // do par que começa em i
    const queue = new Queue();
    const look = (i) => {
      const end = next[next[i]];
      ranks[i] =
        end <= size ? (this.ranks.get(piece.slice(i, end)) ?? Infinity) : Infinity;
      if (ranks[i] < Infinity) queue.push(ranks[i] * size + i);
    };
    for (let i = 0; i < size; i++) look(i);
    while (queue.size) {
      const key = queue.pop();
      const i = key % size;
      if (ranks[i] * size + i !== key) continue;
      ranks[next[i]] = Infinity; // a parte da direita deixa de existir
      next[i] = next[next[i]];
      before[next[i]] = i;
      look(i);
      if (i > 0) look(before[i]);
    }
    const parts = [];
    for (let i = 0; i < size; i = next[i])
      parts.push(this.ranks.get(piece.slice(i, next[i])));
    return parts;
  }

  /** Os bytes de um token. */
  tokenBytes(id) {
    const token = this.bytes[id];
    if (token === undefined) throw new Error(`o id ${id} não está no vocabulário`);
    return Uint8Array.from(token, (letter) => letter.charCodeAt(0));
  }

  /** O texto dos ids; um caractere cortado ao meio vira “�”. */
  decode(ids) {
    const decoder = this.decoder();
    return Array.from(ids, (id) => decoder(id)).join("") + decoder();
  }

  /**
   * Uma função que lê um id por vez e devolve os caracteres que já estão inteiros; sem
   * id, o que sobrou.
   */
  decoder() {
    const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
    return (id) =>
      id === undefined
        ? utf8.decode()
        : utf8.decode(this.tokenBytes(id), { stream: true });
  }

  /** O texto cortado: `[{id, text, bytes}]`. */
  tokens(text) {
    return this.describe(this.encodeText(text));
  }

  /** Os ids com o texto e os bytes de cada um. */
  describe(ids) {
    return Array.from(ids, (id) => ({
      id,
      text: this.decode([id]),
      bytes: Array.from(this.tokenBytes(id)),
    }));
  }
}
