// Os contos do livro e o n-grama sobre as letras deles, contado no navegador. Um por página, e só quando se pede.
import { NGram } from "./motor/ngram.js";

export const CONTOS = new URL("./dados/contos.txt", import.meta.url);
export const UNKNOWN_BITS = 21; // o que custa nomear um caractere que o alfabeto não tem

/** O texto de uma parte (“train”, “validation”), como `load_text("contos", split)`. */
export function splitOf(file, split) {
  return file
    .split(/^# /m)
    .slice(1)
    .map((block) => block.match(/^(.*)\nforma:.*\ntema:.*\nsplit: *(\S+)\n([^]*)$/))
    .filter(([, , which]) => which === split)
    .map(([, title, , text]) => `${title.trim()}\n\n${text.replace(/^\n+|\n+$/g, "")}`)
    .join("\n\n\n");
}

/** O alfabeto do texto: `encode`, `decode` e `size`; o último id é o de quem ele não tem. */
export class Letters {
  constructor(text) {
    this.alphabet = [...new Set(text)].sort((a, b) => a.codePointAt(0) - b.codePointAt(0));
    this.ids = new Map(this.alphabet.map((letter, id) => [letter, id]));
    this.unknown = this.alphabet.length;
    this.size = this.alphabet.length + 1;
  }

  encode(text) {
    return Array.from(text, (letter) => this.ids.get(letter) ?? this.unknown);
  }

  decode(ids) {
    return ids.map((id) => this.alphabet[id] ?? "�").join("");
  }
}

/** Cada palavra do texto, com o que a separa da de antes, e os bits que custou: `[{word, bits}]`. */
export function wordBits(model, letters, text) {
  const ids = letters.encode(text);
  const costs = model.surprisal(ids).map((bits, i) => bits + (ids[i] === letters.unknown ? UNKNOWN_BITS : 0));
  let at = 0;
  return (text.match(/\s*\S+|\s+$/gu) ?? []).map((word) => {
    const end = at + Array.from(word).length;
    const bits = costs.slice(at, end).reduce((a, b) => a + b, 0);
    at = end;
    return { word, bits };
  });
}

let read;
const models = new Map();

async function fetchContos() {
  const answer = await fetch(CONTOS);
  if (!answer.ok) throw new Error(`contos.txt: erro ${answer.status}`);
  const train = splitOf(await answer.text(), "train");
  const letters = new Letters(train);
  return { letters, ids: letters.encode(train) };
}

/** O alfabeto dos contos e `model(order)`, que conta uma ordem na primeira vez que se pede. */
export async function contos() {
  read ??= fetchContos().catch((error) => {
    read = undefined;
    throw error;
  });
  const { letters, ids } = await read;
  return {
    letters,
    model(order) {
      if (!models.has(order)) models.set(order, new NGram(order, letters.size).fit(ids));
      return models.get(order);
    },
  };
}
