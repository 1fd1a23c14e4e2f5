// O BPE em bytes do capítulo 2: o mesmo pré-corte, as mesmas fusões, os mesmos ids.

export const END = "<|endoftext|>";

const KNOWN = {
  // o do livro
  "[ '’\\-]?[\\p{L}\\p{M}]{1,64}|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]{1,32}|[\\r\\n]{1,16}|\\s{1,32}(?!\\S)|\\s": true,
  // o do GPT-2
  "'(?:[sdmt]|ll|ve|re)| ?\\p{L}++| ?\\p{N}++| ?[^\\s\\p{L}\\p{N}]++|\\s++$|\\s+(?!\\S)|\\s": true,
};

/** A expressão do pacote, como o JavaScript a escreve. */
function compile(pattern) {
  if (!KNOWN[pattern]) throw new Error("este pré-corte não é o do livro nem o do GPT-2; a página não o conhece");
  const space = "\\t-\\r \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
  return new RegExp(
    pattern
      .replace(/\+\+/g, "+") // a próxima parte nunca começa por onde a gulosa devolveria
      .replace(/(\[\^?)\\s/g, `$1${space}`)
      .replace(/\\s/g, `[${space}]`)
      .replace(/\\S/g, `[^${space}]`),
    "gu",
  );
}

const encoder = new TextEncoder();

/** Os bytes de um texto, uma letra Latin-1 por byte: assim eles são chaves de um Map. */
function toBytes(text) {
  let out = "";
  for (const byte of encoder.encode(text)) out += String.fromCharCode(byte);
  return out;
}

export class Tokenizer {
  /** `tokens`: os bytes de cada token, em Latin-1, na ordem das fusões; `ids`: o id de cada um. */
  constructor({ pattern, tokens, ids = null, special_tokens }) {
    this.cut = compile(pattern);
    this.ranks = new Map(tokens.map((token, rank) => [token, rank]));
    this.ids = ids;
    this.specials = special_tokens;
    this.bytes = []; // id → bytes, em Latin-1
    tokens.forEach((token, rank) => (this.bytes[ids ? ids[rank] : rank] = token));
    for (const [name, id] of Object.entries(special_tokens)) this.bytes[id] = toBytes(name);
    this.vocabSize = this.bytes.length;
    this.cache = new Map(); // pedaço → ids
  }

  get endId() {
    if (!(END in this.specials)) throw new Error(`o tokenizer não tem ${END}, que marca o fim de um documento`);
    return this.specials[END];
  }

  /** Os ids de um texto; um especial escrito nele é texto comum. */
  encode(text) {
    if (typeof text !== "string") throw new TypeError("esperava um texto");
    const alone = /[\ud800-\udfff]/u.exec(text);
    if (alone) {
      throw new Error(`o texto tem metade de um caractere na posição ${alone.index}; apague-a e escreva de novo`);
    }
    const ids = [];
    for (const [piece] of text.matchAll(this.cut)) {
      let found = this.cache.get(piece);
      if (!found) {
        found = this.merge(toBytes(piece)).map((rank) => (this.ids ? this.ids[rank] : rank));
        if (this.cache.size < 50000) this.cache.set(piece, found);
      }
      for (const id of found) ids.push(id);
    }
    return ids;
  }

  /** Os ids de um texto que um modelo vai ler: normalizado em NFC antes. */
  encodeText(text) {
    return this.encode(typeof text === "string" ? text.normalize("NFC") : text);
  }

  /** Os postos em que um pedaço se corta: funde sempre o par vizinho de menor posto. */
  merge(piece) {
    const whole = this.ranks.get(piece);
    if (whole !== undefined) return [whole];
    const parts = Array.from(piece);
    for (;;) {
      let best = Infinity;
      let at = -1;
      for (let i = 0; i + 1 < parts.length; i++) {
        const rank = this.ranks.get(parts[i] + parts[i + 1]) ?? Infinity;
        if (rank < best) [best, at] = [rank, i];
      }
      if (at < 0) return parts.map((part) => this.ranks.get(part));
      parts.splice(at, 2, parts[at] + parts[at + 1]);
    }
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

  /** Uma função que lê um id por vez e devolve os caracteres que já estão inteiros; sem id, o que sobrou. */
  decoder() {
    const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
    return (id) => (id === undefined ? utf8.decode() : utf8.decode(this.tokenBytes(id), { stream: true }));
  }

  /** O texto cortado: `[{id, text, bytes}]`. */
  tokens(text) {
    return this.describe(this.encodeText(text));
  }

  /** Os ids com o texto e os bytes de cada um. */
  describe(ids) {
    return Array.from(ids, (id) => ({ id, text: this.decode([id]), bytes: Array.from(this.tokenBytes(id)) }));
  }
}
