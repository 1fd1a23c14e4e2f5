// O mesmo texto cortado pelos vocabulários do livro e pelo do GPT-2: tokens, ids e contagens.
import { announcer, askButton, br, debounce, h, textField, visible } from "../comum.js";
import { loadTokenizer } from "../modelo.js";

export const START = "Não se preocupe, amanhã a gente conversa.";
const NAMES = { "contos-mini": "contos-mini", "conversa-mini": "conversa-mini", gpt2: "GPT-2" };

/** O token como se lê: o texto, ou, se é um pedaço de letra, os bytes em hexadecimal. */
export function tokenName(bytes) {
  try {
    return visible(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(new Uint8Array(bytes)));
  } catch {
    return bytes.map((byte) => byte.toString(16).toUpperCase().padStart(2, "0")).join(" ");
  }
}

// ------------------------------------------------------------------ na página

const plural = (n, name) => `${br(n)} ${name}${n === 1 ? "" : "s"}`;

export default function mount(box) {
  const loading = askButton({
    label: "Carregar os três vocabulários",
    url: new URL("../../modelos/gpt2.tokenizer.json", import.meta.url), // quase todo o peso é o dele
    bring: () => Promise.all(Object.keys(NAMES).map(loadTokenizer)),
    onReady: (tokenizers) => start(box, tokenizers),
  });
  box.append(loading.element);
}

async function start(box, tokenizers) {
  const names = Object.values(NAMES);
  const field = textField({ label: "Escreva em português", value: START, onInput: debounce(show) });
  const speech = announcer();
  const lines = tokenizers.map((tokenizer, i) => ({
    cut: h("p", { class: "w-tokens", "aria-label": `Os tokens do ${names[i]}` }),
    count: h("p", { class: "w-nota" }),
    name: h("p", { class: "w-rotulo" }, `${names[i]}, ${br(tokenizer.vocabSize)} entradas`),
  }));

  async function show() {
    const text = field.value;
    const size = plural(new TextEncoder().encode(text).length, "byte");
    const cuts = await Promise.all(tokenizers.map((tokenizer) => tokenizer.tokens(text)));
    cuts.forEach((tokens, i) => {
      const bytes = tokens.reduce((sum, token) => sum + token.bytes.length, 0);
      lines[i].cut.replaceChildren(...tokens.map((token, n) =>
        h("span", { class: `w-pedaco w-cor-${n % 4}` },
          h("span", { class: "w-pedaco-texto" }, tokenName(token.bytes)),
          h("span", { class: "w-pedaco-id" }, String(token.id)))));
      lines[i].count.textContent = tokens.length
        ? `${plural(tokens.length, "token")} para ${size}: ${br(bytes / tokens.length, 1)} bytes por token`
        : "Sem texto, nenhum token.";
    });
    speech.say(text
      ? `${size}: ${cuts.map((tokens, i) => `${plural(tokens.length, "token")} no ${names[i]}`).join(", ")}.`
      : "Escreva alguma coisa para ver os tokens.");
  }

  box.append(
    field.element,
    h("div", { class: "w-vocabularios" }, ...lines.map(({ name, cut, count }) => h("div", null, name, cut, count))),
    speech.element,
  );
  await show();
}
