// A vida de um pedido no contos-mini: texto, ids, corrente residual bloco a bloco, logits e o próximo token. Depois
// de cada bloco, a corrente passa pela normalização final e pela matriz de saída: é a lente dos logits.
import { announcer, bars, br, debounce, h, loadButton, percent, textField, visible } from "../comum.js";

export const START = "O prefeito pôs a mão no";
const MOST = 64; // tokens
const GUESSES = 3; // por bloco
const NEXT = 6; // no fim

/** As formas por dentro de um bloco, com n posições: `[{name, shape}]`. */
export function blockShapes({ emb_dim: C, n_heads: H }, n) {
  return [
    { name: "a corrente, normalizada", shape: [1, n, C] },
    { name: "consulta, chave e valor, cada um", shape: [1, H, n, C / H] },
    { name: "pesos de atenção", shape: [1, H, n, n] },
    { name: "contexto, somado à corrente", shape: [1, n, C] },
    { name: "a MLP por dentro", shape: [1, n, 4 * C] },
    { name: "a saída da MLP, somada à corrente", shape: [1, n, C] },
  ];
}

export const stageName = (block) => (block ? `bloco ${block - 1}` : "tabelas");

// ------------------------------------------------------------------ na página

const form = (shape) => `(${shape.map((n) => br(n)).join(", ")})`;

export default function mount(box) {
  const speech = announcer({ hidden: false });
  const loading = loadButton("contos-mini", (model) => start(box, model, speech));
  speech.say("O modelo é o contos-mini, que o capítulo 5 treina.");
  box.append(speech.element, loading.element);
}

async function start(box, model, speech) {
  const { config } = model;
  let tokens = [];
  let at = 0; // a posição que se lê
  let round = 0;

  const field = textField({ label: "O pedido", value: START, onInput: debounce(read, 200) });
  const strip = h("div", { class: "w-tokens", role: "group", "aria-label": "A posição que se lê" });
  const sizes = h("p", { class: "w-nota" });
  const rows = h("tbody");
  const inside = h("ul");
  const logits = h("p", { class: "w-nota" });
  const next = bars({ label: "Os próximos tokens mais prováveis", onPick: ({ text }) => {
    field.value = tokens.slice(0, at + 1).map((token) => token.text).join("") + text;
    read();
  } });

  async function read() {
    const mine = ++round;
    const text = field.value;
    const cut = await model.tokens(text).catch(trouble);
    if (!cut || mine !== round) return; // o leitor já escreveu outra coisa
    tokens = cut.slice(0, MOST);
    at = tokens.length - 1;
    strip.replaceChildren(...tokens.map((token, t) =>
      h("button", { type: "button", class: "w-peca", onclick: () => look(t) },
        h("span", null, visible(token.text)), h("span", { class: "w-pedaco-id" }, String(token.id)))));
    const bytes = new TextEncoder().encode(text).length;
    sizes.textContent = `${br(bytes)} bytes de texto viram ${br(cut.length)} ids` +
      `${cut.length > MOST ? `, dos quais o modelo lê os primeiros ${MOST}` : ""}: ${form([1, tokens.length])}.`;
    await look(at);
  }

  async function look(t) {
    const mine = ++round;
    at = t;
    Array.from(strip.children).forEach((piece, i) => piece.setAttribute("aria-pressed", i === t));
    if (!tokens.length) {
      [rows, inside, next.element].forEach((element) => element.replaceChildren());
      logits.textContent = "";
      speech.say("Escreva alguma coisa para o modelo ler.");
      return;
    }
    const stages = await model.lens(tokens.slice(0, t + 1).map(({ id }) => id)).catch(trouble);
    if (stages && mine === round) show(stages);
  }

  function trouble(error) {
    speech.say(`Não deu: ${error.message}.`);
  }

  function show(stages) {
    const n = at + 1;
    const final = stages.at(-1);
    const [winner] = final.top;
    const highest = Math.max(...stages.map(({ norm }) => norm));
    rows.replaceChildren(...stages.map(({ block, norm, shape, top }) =>
      h("tr", null,
        h("th", { scope: "row" }, stageName(block), h("span", { class: "w-forma" }, form([1, ...shape]))),
        h("td", { class: "w-norma" }, br(norm, 1),
          h("span", { class: "w-norma-barra", "aria-hidden": true, style: `width: ${(100 * norm) / highest}%` })),
        h("td", { class: "w-texto" }, h("span", { class: "w-tokens" }, ...top.slice(0, GUESSES).map(({ id, text, p }) =>
          h("span", { class: id === winner.id ? "w-token w-vence" : "w-token" }, `${visible(text)} ${percent(p)}`)))))));
    inside.replaceChildren(...blockShapes(config, n).map(({ name, shape }) => h("li", null, `${name}: ${form(shape)}`)));
    logits.textContent = `A normalização final e a matriz de saída dão os logits, ${form([1, n, config.vocab_size])}. ` +
      "O softmax da última posição:";
    next.draw(final.top.slice(0, NEXT));
    const first = stages.find((_, i) => stages.slice(i).every(({ top }) => top[0].id === winner.id));
    speech.say(`Depois de “${visible(tokens[at].text)}”, a aposta final é “${visible(winner.text)}” ` +
      `(${percent(winner.p)}), em primeiro desde ${first.block ? `o ${stageName(first.block)}` : "as tabelas"}. ` +
      `A norma da corrente vai de ${br(stages[0].norm, 1)} a ${br(final.norm, 1)}.`);
  }

  const head = ["onde", "norma", "se parasse aqui, diria"].map((name, i) =>
    h("th", { scope: "col", class: i === 2 ? "w-texto" : null }, name));
  box.replaceChildren(
    field.element, sizes, strip,
    h("p", { class: "w-nota" }, "Toque num token para ler naquela posição."),
    speech.element,
    h("table", { class: "w-tabela w-corrente" }, h("thead", null, h("tr", null, ...head)), rows),
    h("details", null, h("summary", null, "Dentro de um bloco"), inside),
    logits, next.element,
    h("p", { class: "w-nota" }, "Escolha um deles para juntá-lo ao pedido e rodar tudo de novo."),
  );
  await read();
}
