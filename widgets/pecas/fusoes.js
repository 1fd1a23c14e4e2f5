// O BPE passo a passo, numa lista de palavras que se edita. Os símbolos são números: primeiro os bytes, na ordem
// do GPT-2, e depois as fusões, na ordem em que nascem. É essa a idade que decide os empates, como em
// homellm.tokenizer.learn_merges.
import { announcer, br, button, debounce, h, textField, visible } from "../comum.js";

const VISIBLE = [[33, 126], [161, 172], [174, 255]];
const isVisible = (byte) => VISIBLE.some(([low, high]) => low <= byte && byte <= high);
const BYTES = Array.from({ length: 256 }, (_, byte) => byte);
export const BYTE_ORDER = [...BYTES.filter(isVisible), ...BYTES.filter((byte) => !isVisible(byte))];
const TO_SYMBOL = BYTE_ORDER.reduce((table, byte, symbol) => ((table[byte] = symbol), table), []);

export const START = "casa 3\ncasas 2\nasa 2\ncaso 1";

/** As palavras do texto, com as contagens: “casa 3” numa linha são três; uma linha de texto corrido conta cada uma. */
export function readWords(text) {
  const counts = new Map();
  const add = (word, n) => counts.set(word, (counts.get(word) ?? 0) + n);
  for (const line of text.split("\n")) {
    const counted = line.trim().match(/^(\S+)\s+(\d{1,6})$/);
    if (counted) add(counted[1], Number(counted[2]));
    else line.split(/\s+/).filter(Boolean).forEach((word) => add(word, 1));
  }
  return [...counts].filter(([, count]) => count > 0).map(([word, count]) => ({ word, count }));
}

const toSymbols = (word) => Array.from(new TextEncoder().encode(word), (byte) => TO_SYMBOL[byte]);

/** O começo: cada palavra em bytes, e nenhuma fusão. `symbols[i]` são os bytes do símbolo i. */
export const begin = (words) => ({
  symbols: BYTE_ORDER.map((byte) => [byte]),
  merges: [],
  words: words.map(({ word, count }) => ({ word, count, seq: toSymbols(word) })),
});

/** Os pares vizinhos, do mais frequente ao menos; no empate, antes o de símbolos mais velhos. */
export function countPairs(state) {
  const counts = new Map();
  for (const { seq, count } of state.words) {
    for (let i = 1; i < seq.length; i++) {
      const key = `${seq[i - 1]} ${seq[i]}`;
      counts.set(key, (counts.get(key) ?? 0) + count);
    }
  }
  const pairs = [...counts].map(([key, count]) => ({ pair: key.split(" ").map(Number), count }));
  return pairs.sort((a, b) => b.count - a.count || a.pair[0] - b.pair[0] || a.pair[1] - b.pair[1]);
}

/** A palavra com cada aparição do par trocada pelo símbolo novo, da esquerda para a direita. */
export function fuse(seq, [left, right], born) {
  const fused = [];
  for (let i = 0; i < seq.length; i++) {
    const here = seq[i] === left && seq[i + 1] === right;
    fused.push(here ? born : seq[i]);
    if (here) i++;
  }
  return fused;
}

/** O estado depois de fundir o par da vez; o mesmo, se não há par. */
export function step(state) {
  const [best] = countPairs(state);
  if (!best) return state;
  const born = state.symbols.length;
  return {
    symbols: [...state.symbols, best.pair.flatMap((symbol) => state.symbols[symbol])],
    merges: [...state.merges, { ...best, born }],
    words: state.words.map((word) => ({ ...word, seq: fuse(word.seq, best.pair, born) })),
  };
}

/** Uma palavra nova, cortada com as fusões aprendidas, da mais velha à mais nova. */
export const encode = (state, word) =>
  state.merges.reduce((seq, { pair, born }) => fuse(seq, pair, born), toSymbols(word));

/** O símbolo como se lê: o texto, ou, se é um pedaço de letra, os bytes em hexadecimal. */
export function nameOf(state, symbol) {
  const bytes = state.symbols[symbol];
  try {
    return visible(new TextDecoder("utf-8", { fatal: true }).decode(new Uint8Array(bytes)));
  } catch {
    return bytes.map((byte) => byte.toString(16).toUpperCase().padStart(2, "0")).join(" ");
  }
}

// ------------------------------------------------------------------ na página

const SHOWN_WORDS = 24;
const SHOWN_PAIRS = 6;
const times = (n) => `${br(n)} ${n === 1 ? "vez" : "vezes"}`;

export default function mount(box) {
  let history = [];
  const state = () => history.at(-1);
  const name = (symbol) => nameOf(state(), symbol);
  const joined = ({ pair }) => `${name(pair[0])} + ${name(pair[1])}`;

  const list = textField({
    label: "As palavras, uma por linha, e quantas vezes cada uma aparece", value: START, limit: 2000, rows: 4,
    onInput: debounce(restart, 250),
  });
  const fuseButton = button("Fundir", () => advance(step(state())), { strong: true });
  const backButton = button("Voltar uma", () => {
    history.pop();
    show();
  });
  const endButton = button("Fundir até o fim", () => {
    let next = state();
    while (countPairs(next).length) next = step(next);
    advance(next);
  });
  const firstButton = button("Recomeçar", restart);
  const words = h("ul", { class: "w-palavras", "aria-label": "As palavras, cortadas em símbolos" });
  const pairs = h("ol", { class: "w-barras", "aria-label": "Os pares mais frequentes" });
  const rule = h("p", { class: "w-nota" });
  const merges = h("ol", { class: "w-fusoes", "aria-label": "As fusões, na ordem" });
  const speech = announcer({ hidden: false });
  const probe = textField({
    label: "Uma palavra nova, cortada com essas fusões", value: "casacas", limit: 80, rows: 1, onInput: showProbe,
  });
  const cut = h("p", { class: "w-tokens", role: "status" });

  function chips(seq, born = -1) {
    return seq.map((symbol) => h("span", { class: symbol === born ? "w-token w-novo" : "w-token" }, name(symbol)));
  }

  function restart() {
    history = [begin(readWords(list.value))];
    show();
  }

  function advance(next) {
    history.push(next);
    show();
  }

  function showProbe() {
    const [word] = probe.value.trim().split(/\s/, 1);
    if (word) cut.replaceChildren(...chips(encode(state(), word)));
    else cut.textContent = "Escreva uma palavra.";
  }

  function show() {
    const now = state();
    const last = now.merges.at(-1);
    const ranking = countPairs(now);
    const [best] = ranking;
    const tied = ranking.filter(({ count }) => count === best.count).length;
    words.replaceChildren(
      ...now.words.slice(0, SHOWN_WORDS).map(({ count, seq }) =>
        h("li", null, h("span", { class: "w-vezes" }, `${br(count)} ×`), ...chips(seq, last?.born))),
    );
    if (now.words.length > SHOWN_WORDS) words.append(h("li", null, `e mais ${br(now.words.length - SHOWN_WORDS)}`));
    pairs.replaceChildren(
      ...ranking.slice(0, SHOWN_PAIRS).map((item) =>
        h("li", { class: "w-barra" },
          h("span", { class: "w-barra-token" }, joined(item)),
          h("span", { class: "w-barra-trilho", "aria-hidden": true },
            h("span", { class: "w-barra-cheia w-contagem", style: `width: ${(100 * item.count) / best.count}%` })),
          h("span", { class: "w-barra-valor" }, times(item.count)))),
    );
    rule.textContent = !best ? "" : tied > 1
      ? `Empate de ${br(tied)} pares: vence ${joined(best)}, o de símbolos que nasceram primeiro.`
      : `O mais frequente dos ${br(ranking.length)} é ${joined(best)}.`;
    if (ranking.length === 1) rule.textContent = `Só resta um par, ${joined(best)}.`;
    merges.replaceChildren(
      ...now.merges.map((merge) =>
        h("li", null, `${joined(merge)} → `, ...chips([merge.born]), ` ${times(merge.count)}`)),
    );
    if (!now.merges.length) merges.replaceChildren(h("li", { class: "w-nota" }, "nenhuma ainda"));
    fuseButton.textContent = best ? `Fundir ${joined(best)}` : "Não há mais pares";
    fuseButton.disabled = endButton.disabled = !best;
    backButton.disabled = history.length < 2;
    speech.say(sentence(now, last, ranking.length));
    showProbe();
  }

  function sentence(now, last, left) {
    if (!now.words.length) return "Escreva ao menos uma palavra.";
    const born = last ? `Fusão ${br(now.merges.length)}: ${joined(last)} vira ${name(last.born)}, ${times(last.count)}.`
      : "Símbolos soltos, e nenhuma fusão ainda.";
    return `${born} ${left ? `Pares diferentes: ${br(left)}.` : "Cada palavra é um símbolo só."}`;
  }

  box.append(
    list.element,
    h("div", { class: "w-linha" }, fuseButton, endButton, backButton, firstButton),
    speech.element, words,
    h("div", { class: "w-lado" },
      h("div", null, h("p", { class: "w-rotulo" }, "Os pares, agora"), pairs, rule),
      h("div", null, h("p", { class: "w-rotulo" }, "As fusões, na ordem"), merges)),
    probe.element, cut,
  );
  restart();
}
