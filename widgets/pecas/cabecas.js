// Para onde olha cada cabeça do contos-mini na frase do leitor, com a máscara causal e sem ela.
import { announcer, br, choices, debounce, h, loadButton, textField, visible } from "../comum.js";

export const START = "O sino rachou, e ele nunca mais tocou direito.";
export const START_AT = { layer: 2, head: 0, asks: 8 }; // “ele”
const MOST = 24; // tokens à vista
const HINT = "Toque num token para ver para onde ele olha, e numa cabeça para trocá-la.";

/** Para onde a posição t olha, do maior peso ao menor: `[{token, weight}]`. */
export function ranking(weights, n, t) {
  const row = Array.from(weights.subarray(t * n, (t + 1) * n), (weight, token) => ({ token, weight }));
  return row.sort((a, b) => b.weight - a.weight);
}

// ------------------------------------------------------------------ na página

const share = (weight) => `${br(100 * weight)}%`;

export default function mount(box) {
  const speech = announcer({ hidden: false });
  const loading = loadButton("contos-mini", (model) => start(box, model, speech));
  speech.say("As cabeças são as de um modelo de verdade, que o capítulo 5 treina.");
  box.append(speech.element, loading.element);
}

async function start(box, model, speech) {
  const { n_layers, n_heads } = model.config;
  let { layer, head, asks } = START_AT;
  let causal = true;
  let tokens = [];
  let maps = null; // o que attention devolveu
  let round = 0;

  const field = textField({ label: "A frase que o modelo lê", value: START, onInput: debounce(read, 200) });
  const masking = choices("Máscara causal", [{ value: true, label: "ligada" }, { value: false, label: "desligada" }],
    causal, (value) => {
      causal = value;
      read();
    });
  const strip = h("div", { class: "w-tokens", role: "group", "aria-label": "Quem olha" });
  const hint = h("p", { class: "w-nota" });
  const large = h("canvas", { class: "w-mapa", "aria-hidden": true });
  const line = h("div", { class: "w-mapa-linha" }); // a de quem olha
  const title = h("p", { class: "w-rotulo" });
  const heads = Array.from({ length: n_layers * n_heads }, (_, i) => {
    const [l, k] = [Math.floor(i / n_heads), i % n_heads];
    const canvas = h("canvas", { "aria-hidden": true });
    const cell = h("button", {
      type: "button", class: "w-cabeca", tabindex: -1, "aria-label": `Camada ${l}, cabeça ${k}`,
      onclick: () => choose(l, k),
    }, canvas);
    return { cell, canvas };
  });
  const grid = h("div", {
    class: "w-cabecas", role: "group", "aria-label": "As cabeças: uma linha por camada", onkeydown: move,
    style: `--cabecas: ${n_heads}`,
  }, ...heads.flatMap(({ cell }, i) => (i % n_heads ? [cell] : [h("span", { class: "w-nota" }, `${i / n_heads}`), cell])));

  function move(event) {
    const shift = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!shift) return;
    event.preventDefault();
    choose((layer + shift[0] + n_layers) % n_layers, (head + shift[1] + n_heads) % n_heads);
    heads[layer * n_heads + head].cell.focus();
  }

  function choose(l, k) {
    [layer, head] = [l, k];
    show();
  }

  async function read() {
    const mine = ++round;
    const text = field.value;
    let [cut, seen, result] = [[], [], null];
    try {
      if (text.trim()) cut = await model.tokens(text);
      seen = cut.slice(0, MOST);
      if (seen.length) result = await model.attention(seen.map(({ id }) => id), { causal });
    } catch (error) {
      speech.say(`Não deu: ${error.message}.`);
      return;
    }
    if (mine !== round) return; // o leitor já escreveu outra coisa
    const same = seen.length === tokens.length && seen.every(({ id }, i) => id === tokens[i].id);
    if (!same && round > 1) asks = seen.length - 1;
    [tokens, maps] = [seen, result];
    hint.textContent = `${cut.length > MOST ? `O modelo lê os primeiros ${MOST} tokens. ` : ""}${HINT}`;
    strip.replaceChildren(...tokens.map(({ text: token }, t) =>
      h("button", { type: "button", class: "w-peca", onclick: () => look(t) },
        h("span", null, visible(token)), h("span", { class: "w-pedaco-id" }))));
    drawMaps();
    show();
  }

  function look(t) {
    asks = t;
    show();
  }

  function drawMaps() {
    const color = getComputedStyle(box).getPropertyValue("--w-attention");
    heads.forEach(({ canvas }, i) => draw(canvas, maps?.weights[Math.floor(i / n_heads)][i % n_heads], color));
  }

  function draw(canvas, weights, color) {
    const n = weights ? maps.n : 1;
    canvas.width = canvas.height = n;
    const pen = canvas.getContext("2d");
    pen.fillStyle = color;
    weights?.forEach((weight, i) => {
      pen.globalAlpha = Math.min(1, weight);
      pen.fillRect(i % n, Math.floor(i / n), 1, 1);
    });
  }

  function show() {
    heads.forEach(({ cell }, i) => {
      const chosen = i === layer * n_heads + head;
      cell.setAttribute("aria-pressed", chosen);
      cell.tabIndex = chosen ? 0 : -1;
    });
    title.textContent = `Camada ${layer}, cabeça ${head}`;
    const weights = maps?.weights[layer][head];
    draw(large, weights, getComputedStyle(box).getPropertyValue("--w-attention"));
    line.hidden = !weights;
    if (!weights) {
      speech.say("Escreva uma frase para ver para onde as cabeças olham.");
      return;
    }
    line.style = `height: ${100 / maps.n}%; top: ${(100 * asks) / maps.n}%`;
    const row = weights.subarray(asks * maps.n, (asks + 1) * maps.n);
    Array.from(strip.children).forEach((piece, t) => {
      piece.style.setProperty("--peso", row[t]);
      piece.setAttribute("aria-pressed", t === asks);
      piece.lastChild.textContent = causal && t > asks ? "–" : share(row[t]);
    });
    const name = (t) => `“${visible(tokens[t].text)}”`;
    const [first, ...rest] = ranking(weights, maps.n, asks).slice(0, 3).filter(({ weight }) => weight >= 0.005);
    const others = rest.map(({ token, weight }) => `${name(token)} (${share(weight)})`).join(" e ");
    speech.say(`Na camada ${layer}, cabeça ${head}, ${name(asks)} olha sobretudo para ${name(first.token)} ` +
      `(${share(first.weight)})${others && `, e depois para ${others}`}.` +
      `${causal ? "" : " Sem a máscara, olha também para o que vem depois; o modelo não foi treinado assim."}`);
  }

  new MutationObserver(() => {
    drawMaps();
    show();
  }).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  box.replaceChildren(
    field.element, masking.element,
    hint, strip, speech.element,
    h("div", { class: "w-lado" },
      h("div", null, h("p", { class: "w-rotulo" }, "Todas as cabeças: cada linha, uma camada"), grid),
      h("div", null, title, h("div", { class: "w-mapa-caixa" }, large, line),
        h("p", { class: "w-nota" }, "Na linha, quem olha; na coluna, quem é olhado; cheio, peso 1."))),
  );
  await read();
}
