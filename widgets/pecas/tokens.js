// O mesmo texto cortado pelos vocabulários do livro e pelo do GPT-2: tokens, ids e contagens.
import { announcer, br, button, debounce, h, megabytes, textField, visible } from "../comum.js";
import { loadTokenizer } from "../modelo.js";

export const START = "Não se preocupe, amanhã a gente conversa.";
const OURS = ["contos-mini", "conversa-mini"];
const GPT2 = "gpt2";
const NAMES = { gpt2: "GPT-2" };
const nameOf = (name) => NAMES[name] ?? name;

/** O token como se lê: o texto, ou, se é um pedaço de letra, os bytes em hexadecimal. */
export function tokenName(bytes) {
  try {
    return visible(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(new Uint8Array(bytes)));
  } catch {
    return bytes.map((byte) => byte.toString(16).toUpperCase().padStart(2, "0")).join(" ");
  }
}

const sizeOf = (text) => new TextEncoder().encode(text).length;

// ------------------------------------------------------------------ na página

export default async function mount(box) {
  const rows = new Map(); // nome → {tokenizer, cut, count}
  const field = textField({ label: "Escreva em português", value: START, onInput: debounce(show) });
  const lines = h("div", { class: "w-vocabularios" });
  const speech = announcer();
  const trouble = h("p", { class: "w-nota", role: "status" });
  const more = button("Pôr o do GPT-2 ao lado", addGpt2);

  async function add(name) {
    const tokenizer = await loadTokenizer(name);
    const cut = h("p", { class: "w-tokens", "aria-label": `Os tokens do ${nameOf(name)}` });
    const count = h("p", { class: "w-nota" });
    rows.set(name, { tokenizer, cut, count });
    lines.append(
      h("div", null,
        h("p", { class: "w-rotulo" }, `${nameOf(name)}, ${br(tokenizer.vocabSize)} entradas`), cut, count),
    );
  }

  async function addGpt2() {
    more.disabled = true;
    trouble.textContent = "Carregando…";
    try {
      await add(GPT2);
      more.remove();
      trouble.remove();
      await show();
    } catch (error) {
      console.warn("vocabulário do GPT-2:", error);
      more.disabled = false;
      trouble.textContent = "O vocabulário não carregou. Confira a conexão e tente de novo.";
    }
  }

  async function show() {
    const text = field.value;
    const size = sizeOf(text);
    const counts = [];
    for (const [name, { tokenizer, cut, count }] of rows) {
      const tokens = await tokenizer.tokens(text);
      cut.replaceChildren(...tokens.map(({ id, bytes }, i) =>
        h("span", { class: `w-pedaco w-cor-${i % 4}` },
          h("span", { class: "w-pedaco-texto" }, tokenName(bytes)), h("span", { class: "w-pedaco-id" }, String(id)))));
      count.textContent = tokens.length
        ? `${plural(tokens.length, "token")} para ${plural(size, "byte")}: ${br(size / tokens.length, 1)} bytes por token`
        : "Sem texto, nenhum token.";
      counts.push(`${plural(tokens.length, "token")} no ${nameOf(name)}`);
    }
    speech.say(text ? `${plural(size, "byte")}: ${counts.join(", ")}.` : "Escreva alguma coisa para ver os tokens.");
  }

  for (const name of OURS) await add(name);
  box.append(field.element, lines, h("div", { class: "w-carrega" }, more, trouble), speech.element);
  await show();
  const file = new URL("../../modelos/gpt2.tokenizer.json", import.meta.url);
  fetch(file, { method: "HEAD" }).then((answer) => {
    const size = Number(answer.headers.get("content-length"));
    if (answer.ok && size) more.textContent += ` (${megabytes(size)})`;
  }, () => {});
}

const plural = (n, name) => `${br(n)} ${name}${n === 1 ? "" : "s"}`;
