// O gradiente que se empurra: f(a, b, c) = (a·b + c)·a do capítulo 0, com a ida, a volta e um empurrão de verdade.
import { announcer, br, choices, h, slider, svg } from "../comum.js";

const NAMES = ["a", "b", "c"];

/** Os valores da ida: u, e, f. */
export function forward([a, b, c]) {
  const u = a * b, e = u + c;
  return { u, e, f: e * a };
}

/** As derivadas de f, da saída para trás; a de `a` soma os dois caminhos. */
export function backward([a, b, c]) {
  const { e } = forward([a, b, c]);
  const dE = a, dU = dE, direct = e, through = dU * b;
  return { e: dE, u: dU, f: 1, c: dE, b: dU * a, a: direct + through, direct, through };
}

/** Empurra o parâmetro `which` em `step`: o que o gradiente prevê que f mude, e o que muda. */
export function push(values, which, step) {
  const moved = values.map((x, i) => (i === which ? x + step : x));
  return { predicted: backward(values)[NAMES[which]] * step, actual: forward(moved).f - forward(values).f };
}

// ------------------------------------------------------------------ na página

const SPOTS = { a: [68, 44], b: [68, 168], c: [68, 292], u: [216, 128], e: [286, 262], f: [408, 128] };
const ARROWS = ["M128 70 166 104", "M128 162 154 146", "M128 286 224 268", "M232 176 266 236", "M316 236 388 178",
  "M128 30C230 -6 400 -4 444 100"];
const RULES = { u: [216, 98, "u = a·b"], e: [286, 334, "e = u + c"], f: [388, 98, "f = e·a"] };
const sign = (x, digits) => `${x < 0 ? "−" : "+"}${br(Math.abs(x), digits)}`;
const number = (x) => br(x).replace("-", "−");

function graph() {
  const values = {}, slopes = {};
  const nodes = Object.entries(SPOTS).map(([name, [x, y]]) => {
    values[name] = svg("text", { x, y: y + 7, "text-anchor": "middle", class: "empurrao-valor" });
    slopes[name] = svg("text", { x, y: y + 46, "text-anchor": "middle", class: "empurrao-volta" });
    return svg("g", { class: NAMES.includes(name) ? "empurrao-parametro" : "" },
      svg("rect", { x: x - 60, y: y - 24, width: 120, height: 48, rx: 8 }), values[name], slopes[name]);
  });
  const head = svg("marker", { id: "empurrao-ponta", viewBox: "0 0 10 10", refX: 8, refY: 5, markerWidth: 7, markerHeight: 7, orient: "auto" },
    svg("path", { d: "M0 0 10 5 0 10z" }));
  const drawing = svg("svg", { viewBox: "0 0 476 368", class: "empurrao-grafo", role: "img" },
    svg("defs", null, head),
    ...ARROWS.map((d) => svg("path", { d, class: "empurrao-seta", "marker-end": "url(#empurrao-ponta)" })),
    ...nodes,
    ...Object.values(RULES).map(([x, y, text]) => svg("text", { x, y, "text-anchor": "middle", class: "empurrao-regra" }, text)));
  return { drawing, values, slopes };
}

export default function mount(box) {
  const values = [2, 3, -4];
  let which = 0;
  const { drawing, values: shown, slopes } = graph();
  const speech = announcer({ hidden: false });
  const dials = NAMES.map((name, i) =>
    slider({
      label: name, min: -5, max: 5, step: 1, value: values[i], format: number,
      onInput: (x) => {
        values[i] = x;
        show();
      },
    }));
  const who = choices("Empurrar", NAMES.map((label, value) => ({ label, value })), 0, (i) => {
    which = i;
    show();
  });
  const step = slider({
    label: "De quanto", min: -1, max: 1, step: 0.01, value: 0.1, format: (x) => sign(x, 2), onInput: show,
  });

  function show() {
    const there = forward(values), back = backward(values);
    const all = { a: values[0], b: values[1], c: values[2], ...there };
    for (const name of Object.keys(SPOTS)) {
      shown[name].textContent = `${name} = ${number(all[name])}`;
      slopes[name].textContent = number(back[name]);
    }
    const name = NAMES[which], { predicted, actual } = push(values, which, step.value);
    const gradient = NAMES.map((n) => number(back[n])).join("; ");
    drawing.setAttribute("aria-label", `Grafo de cálculo: f = ${number(there.f)}; o gradiente é (${gradient}).`);
    const slope = step.value ? ` Por unidade, ${br(actual / step.value, 2).replace("-", "−")}.` : "";
    speech.say(
      `f = ${number(there.f)}, e o gradiente é (${gradient}): em a, ${number(back.direct)} pelo caminho direto e ` +
      `${number(back.through)} por u. Empurrar ${name} em ${sign(step.value, 2)}: o gradiente prevê que f mude ` +
      `${sign(predicted, 2)}; a conta dá ${sign(actual, 2)}.${slope}`,
    );
  }

  box.append(
    drawing,
    h("p", { class: "w-dica" }, "Em cada caixa, o valor, na ida; embaixo dela, em vermelho, a derivada de f, na volta."),
    h("div", { class: "w-controles" }, ...dials.map((dial) => dial.element)),
    h("div", { class: "w-controles" }, who.element, step.element),
    speech.element,
  );
  show();
}
