// A taxa de aprendizado que se arrasta: a descida do capítulo 0 sobre as curvas de mesma perda.
import { announcer, br, button, h, newId, slider, svg } from "../comum.js";

const TEMPERATURE = [18, 21, 24, 27, 30, 33];
const CUPS = [4, 9, 13, 20, 23, 30];
const HEAT = TEMPERATURE.map((t) => (t - 20) / 5);
const mean = (values) => values.reduce((a, b) => a + b) / values.length;

/** A perda da reta `w x + b`: a média do erro ao quadrado. */
export const lineLoss = (w, b) => mean(HEAT.map((x, i) => (w * x + b - CUPS[i]) ** 2));

function gradient(w, b) {
  const errors = HEAT.map((x, i) => w * x + b - CUPS[i]);
  return [2 * mean(errors.map((e, i) => e * HEAT[i])), 2 * mean(errors)];
}

/** O caminho da descida a partir de zero: `[{w, b, loss}]`, com `steps + 1` lugares. */
export function descend(rate, steps = 40) {
  let w = 0, b = 0;
  const path = [{ w, b, loss: lineLoss(w, b) }];
  for (let i = 0; i < steps; i++) {
    const [dw, db] = gradient(w, b);
    w -= rate * dw;
    b -= rate * db;
    path.push({ w, b, loss: lineLoss(w, b) });
  }
  return path;
}

// A perda é a menor, mais A·dw² + 2·C·dw·db + db², medida do fundo: as curvas de mesma perda são elipses.
const A = mean(HEAT.map((x) => x * x)), C = mean(HEAT);
const [W_SLOPE, B_SLOPE] = gradient(0, 0);
const best = {
  w: -(W_SLOPE - C * B_SLOPE) / (2 * (A - C * C)),
  b: -(A * B_SLOPE - C * W_SLOPE) / (2 * (A - C * C)),
};

/** O fundo do vale, a perda nele, as duas curvaturas e o ângulo da mais íngreme. */
export const VALLEY = {
  best,
  lowest: lineLoss(best.w, best.b),
  steep: (A + 1) / 2 + Math.hypot((A - 1) / 2, C),
  gentle: (A + 1) / 2 - Math.hypot((A - 1) / 2, C),
  angle: Math.atan2(2 * C, A - 1) / 2,
};

/** O que se vê no caminho: "parado", "diverge", "oscila", "chega" ou "vai". */
export function verdict(path) {
  if (path.length < 2) return "parado";
  if (path.at(-1).loss > path[0].loss) return "diverge";
  const along = ({ w, b }) => (w - best.w) * Math.cos(VALLEY.angle) + (b - best.b) * Math.sin(VALLEY.angle);
  if (along(path[0]) * along(path[1]) < 0) return "oscila";
  return path.at(-1).loss - VALLEY.lowest < 0.01 ? "chega" : "vai";
}

const SENTENCES = {
  parado: "Nenhum passo ainda: w e b estão em zero.",
  diverge: "Diverge: cada passo atravessa o vale e sai mais alto do outro lado.",
  oscila: "Oscila: cada passo atravessa o vale, e sai mais baixo do outro lado.",
  chega: "Chega ao fundo do vale.",
  vai: "Vai no rumo certo, e ainda não chegou.",
};

// ------------------------------------------------------------------ na página

const SIZE = 320, LEFT = 34, BOTTOM = 40;
const W = [-3, 22], B = [-3, 15], LEVELS = [2, 8, 30, 90, 200, 400], LOSS = [0.3, 10_000];
const clamp = (x, low, high) => Math.min(Math.max(x, low), high);
const scale = ([from, to], start, end) => (x) => start + ((x - from) / (to - from)) * (end - start);
const atW = scale(W, LEFT, SIZE), atB = scale(B, SIZE - BOTTOM, 0);
const atStep = scale([0, 40], LEFT + 8, SIZE - 12);
const atLoss = (loss) => scale(LOSS.map(Math.log), SIZE - BOTTOM, 8)(Math.log(clamp(loss, ...LOSS)));

function axes(xTicks, yTicks, xLabel, yLabel) {
  const floor = SIZE - BOTTOM;
  return svg("g", { class: "taxa-eixos" },
    svg("path", { d: `M${LEFT} 0V${floor}H${SIZE}` }),
    ...xTicks.map(([x, text]) => svg("text", { x, y: floor + 16, "text-anchor": "middle" }, text)),
    ...yTicks.map(([y, text]) => svg("text", { x: LEFT - 5, y: y + 5, "text-anchor": "end" }, text)),
    svg("text", { x: (SIZE + LEFT) / 2, y: SIZE - 6, "text-anchor": "middle" }, xLabel),
    svg("text", { x: LEFT + 6, y: 14 }, yLabel));
}

function valley() {
  const x = atW(best.w), y = atB(best.b), unitW = atW(1) - atW(0), unitB = atB(0) - atB(1);
  const turn = (-VALLEY.angle * 180) / Math.PI;
  return svg("g", { class: "taxa-vale" },
    ...LEVELS.map((level) =>
      svg("ellipse", {
        rx: Math.sqrt((level - VALLEY.lowest) / VALLEY.steep), ry: Math.sqrt((level - VALLEY.lowest) / VALLEY.gentle),
        transform: `translate(${x} ${y}) scale(${unitW} ${unitB}) rotate(${turn})`,
        "vector-effect": "non-scaling-stroke",
      })));
}

export default function mount(box) {
  const id = newId();
  const track = svg("polyline", { class: "taxa-caminho" }), dots = svg("g", { class: "taxa-pontos" });
  const curve = svg("polyline", { class: "taxa-caminho" }), now = svg("g", { class: "taxa-pontos" });
  const plane = svg("svg", { viewBox: `0 0 ${SIZE} ${SIZE}`, role: "img", "aria-label": "O caminho de w e b" },
    svg("clipPath", { id }, svg("rect", { x: LEFT, y: 0, width: SIZE - LEFT, height: SIZE - BOTTOM })),
    svg("g", { "clip-path": `url(#${id})` }, valley(), track, dots),
    axes([0, 10, 20].map((w) => [atW(w), w]), [0, 5, 10].map((b) => [atB(b), b]), "w", "b"));
  const losses = svg("svg", { viewBox: `0 0 ${SIZE} ${SIZE}`, role: "img", "aria-label": "A perda a cada passo" },
    curve, now,
    axes([0, 20, 40].map((n) => [atStep(n), n]), [1, 10, 100, 1000].map((x) => [atLoss(x), x === 1000 ? "mil" : x]),
      "passos", "perda"));
  const speech = announcer({ hidden: false });

  const rate = slider({
    label: "Taxa de aprendizado", min: 0.01, max: 0.45, step: 0.005, value: 0.15,
    format: (x) => br(x, x * 1000 % 10 > 0.01 && x * 1000 % 10 < 9.99 ? 3 : 2), onInput: show,
  });
  const steps = slider({ label: "Passos", min: 0, max: 40, step: 1, value: 40, onInput: show });
  const choose = (value) => button(`taxa ${br(value, 2)}`, () => {
    rate.value = value;
    show();
  });

  function show() {
    const path = descend(rate.value, steps.value), last = path.at(-1), seen = verdict(path);
    const far = (x) => clamp(x, -9999, 9999);
    const place = ({ w, b }) => [far(atW(w)), far(atB(b))];
    track.setAttribute("points", path.map(place).join(" "));
    dots.replaceChildren(...path.map(place).map(([cx, cy]) => svg("circle", { cx, cy, r: 3 })));
    curve.setAttribute("points", path.map(({ loss }, n) => [atStep(n), atLoss(loss)]).join(" "));
    now.replaceChildren(svg("circle", { cx: atStep(path.length - 1), cy: atLoss(last.loss), r: 4 }));
    box.dataset.visto = seen;
    const w = br(last.w, 2), b = br(last.b, 2);
    speech.say(
      `${SENTENCES[seen]} Com taxa ${rate.element.querySelector("output").textContent}, depois de ${steps.value} ` +
      `${steps.value === 1 ? "passo" : "passos"}: w = ${w}, b = ${b}, perda ${br(last.loss, 2)} ` +
      `(no começo, ${br(path[0].loss)}; no fundo, ${br(VALLEY.lowest, 2)}).`,
    );
  }

  box.append(
    h("div", { class: "taxa-planos" }, plane,
      h("div", { class: "taxa-controles" },
        h("div", { class: "w-controles" }, rate.element, steps.element),
        h("div", { class: "w-linha" }, ...[0.01, 0.15, 0.35].map(choose)),
        speech.element),
      losses),
  );
  show();
}
