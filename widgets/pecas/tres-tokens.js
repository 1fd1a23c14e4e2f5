// A atenção de três tokens feita à mão, com números que se arrastam: a conta da figura do capítulo 3.
import { announcer, br, choices, h, slider, svg } from "../comum.js";

export const TOKENS = ["sino", "rachou", "ele"];
export const START = [[2, 0], [0, 1], [1, 0]];
export const ASKS = 2; // “ele”

/** Notas, exponenciais, soma, pesos e contexto, vistos do token `asks`. */
export function attend(vectors, asks) {
  const [qx, qy] = vectors[asks];
  const scores = vectors.map(([x, y]) => x * qx + y * qy);
  const exponentials = scores.map(Math.exp);
  const sum = exponentials.reduce((a, b) => a + b);
  const weights = exponentials.map((e) => e / sum);
  const context = [0, 1].map((i) => vectors.reduce((total, vector, t) => total + weights[t] * vector[i], 0));
  return { scores, exponentials, sum, weights, context };
}

// ------------------------------------------------------------------ na página

const LIMIT = 3; // as coordenadas vão de −3 a 3
const SCALE = 50; // pixels por unidade no desenho
const short = (x) => br(x, Number.isInteger(Math.round(x * 10) / 10) ? 0 : 1);
const two = (x) => br(x, 2);
const point = (vector, format) => {
  const numbers = vector.map(format);
  return `(${numbers.join(numbers.join("").includes(",") ? "; " : ", ")})`;
};
const at = ([x, y]) => [x * SCALE, -y * SCALE];

export default function mount(box) {
  let vectors = START.map((vector) => [...vector]);
  let asks = ASKS;

  const sliders = TOKENS.map((token, t) =>
    ["coisa", "ação"].map((axis, i) =>
      slider({
        label: axis, min: -LIMIT, max: LIMIT, step: 0.1, value: START[t][i], format: short,
        onInput: (x) => move(t, i, x),
      })));
  sliders.forEach((pair, t) => pair.forEach(({ input }, i) =>
    input.setAttribute("aria-label", `${TOKENS[t]}, ${["coisa", "ação"][i]}`)));
  const who = choices("Quem olha", TOKENS.map((label, value) => ({ value, label })), asks, (t) => {
    asks = t;
    show();
  });
  const again = h("button", { type: "button", class: "w-botao", onclick: reset }, "Os números do capítulo");
  const { plane, arrows, context } = drawPlane((t, vector) => {
    vector.forEach((x, i) => (sliders[t][i].value = x));
    vectors[t] = vector;
    show();
  });
  const rows = h("tbody");
  const speech = announcer({ hidden: false });

  function move(t, i, x) {
    vectors[t][i] = x;
    show();
  }

  function reset() {
    vectors = START.map((vector) => [...vector]);
    sliders.forEach((pair, t) => pair.forEach((control, i) => (control.value = START[t][i])));
    who.choose(ASKS);
  }

  function show() {
    const result = attend(vectors, asks);
    arrows.forEach((arrow, t) => arrow(vectors[t], result.weights[t], t === asks));
    context(result.context);
    const cell = (...content) => h("td", null, ...content);
    rows.replaceChildren(
      ...TOKENS.map((token, t) =>
        h("tr", null,
          h("th", { scope: "row" }, h("span", { class: "w-token" }, token)),
          cell(point(vectors[t], short)), cell(two(result.scores[t])), cell(two(result.exponentials[t])),
          h("td", { class: "w-peso", style: `--peso: ${result.weights[t]}` }, two(result.weights[t])))),
    );
    const weights = TOKENS.map((token, t) => `${two(result.weights[t])} a ${token}`);
    speech.say(
      `As exponenciais somam ${two(result.sum)}. “${TOKENS[asks]}” dá peso ${weights[0]}, ${weights[1]} e ` +
      `${weights[2]}, e sai como ${point(result.context, two)}.`,
    );
  }

  const head = ["token", "vetor", "nota", "exp", "peso"].map((name) => h("th", { scope: "col" }, name));
  box.append(
    h("div", { class: "w-linha" }, who.element, again),
    h("div", { class: "w-lado" },
      plane,
      h("div", { class: "w-vetores" },
        ...TOKENS.map((token, t) =>
          h("div", { class: "w-vetor", role: "group", "aria-label": token },
            h("span", { class: "w-rotulo" }, token), ...sliders[t].map(({ element }) => element))))),
    h("table", { class: "w-tabela" }, h("thead", null, h("tr", null, ...head)), rows),
    speech.element,
  );
  show();
}

/** O plano em que as setas se arrastam; quem usa o teclado tem os mesmos números nos controles. */
function drawPlane(onDrag) {
  const edge = LIMIT * SCALE + 12;
  const plane = svg("svg", { class: "w-plano", viewBox: `${-edge} ${-edge} ${2 * edge} ${2 * edge}`, "aria-hidden": true });
  for (let i = -LIMIT; i <= LIMIT; i++) {
    const line = { class: i ? "w-grade" : "w-eixo" };
    plane.append(
      svg("line", { ...line, x1: i * SCALE, x2: i * SCALE, y1: -LIMIT * SCALE, y2: LIMIT * SCALE }),
      svg("line", { ...line, y1: i * SCALE, y2: i * SCALE, x1: -LIMIT * SCALE, x2: LIMIT * SCALE }),
    );
  }
  plane.append(
    svg("text", { x: LIMIT * SCALE, y: LIMIT * SCALE - 6, "text-anchor": "end" }, "coisa →"),
    svg("text", { x: -LIMIT * SCALE + 6, y: -LIMIT * SCALE + 18 }, "ação ↑"),
  );
  const contextLine = svg("line", { class: "w-contexto", x1: 0, y1: 0 });
  const contextDot = svg("circle", { class: "w-contexto", r: 6 });
  const contextName = svg("text", { class: "w-contexto" }, "contexto");
  const arrows = TOKENS.map((token, t) => {
    const line = svg("line", { x1: 0, y1: 0 });
    const dot = svg("circle", { class: "w-pega", r: 9 });
    const name = svg("text", null, token);
    const handle = svg("circle", { class: "w-toque", r: 24 });
    handle.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      handle.setPointerCapture(event.pointerId);
    });
    handle.addEventListener("pointermove", (event) => {
      if (!handle.hasPointerCapture(event.pointerId)) return;
      const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(plane.getScreenCTM().inverse());
      const inside = (value) => Math.max(-LIMIT, Math.min(LIMIT, Math.round((value / SCALE) * 10) / 10)) || 0;
      onDrag(t, [inside(x), inside(-y)]);
    });
    plane.append(svg("g", { class: "w-seta" }, line, dot, name, handle));
    return (vector, weight, chosen) => {
      const [x, y] = at(vector);
      line.setAttribute("x2", x);
      line.setAttribute("y2", y);
      line.setAttribute("stroke-width", 2 + 8 * weight);
      for (const circle of [dot, handle]) {
        circle.setAttribute("cx", x);
        circle.setAttribute("cy", y);
      }
      dot.classList.toggle("w-quem", chosen);
      place(name, x + 10, y, -14);
    };
  });
  plane.append(contextLine, contextDot, contextName);

  function place(text, x, y, shift) {
    text.setAttribute("x", Math.max(-edge + 4, Math.min(edge - 60, x)));
    text.setAttribute("y", y + shift < -edge + 12 ? y + 26 : y + shift);
  }

  function context(vector) {
    const [x, y] = at(vector);
    contextLine.setAttribute("x2", x);
    contextLine.setAttribute("y2", y);
    contextDot.setAttribute("cx", x);
    contextDot.setAttribute("cy", y);
    place(contextName, x - 30, y, 24);
  }
  return { plane, arrows, context };
}
