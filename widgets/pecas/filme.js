// Um treino como filme: a perda, a taxa, o que o modelo escreve e em que aposta, em cada quadro. Percorre-se com
// a mão. Os números são medidos: saem de bancada/filme.py.
import { announcer, bars, br, button, h, slider, svg } from "../comum.js";

const LOSS_HEIGHT = 190, RATE_HEIGHT = 56, LEFT = 46, RIGHT = 8, TOP = 26, GAP = 34, BOTTOM = 42;
const DELAY = 700; // ms por quadro, quando o filme roda sozinho

/** O quadro mais perto de um passo. */
export function nearestFrame(frames, step) {
  const far = frames.map((frame) => Math.abs(frame.passo - step));
  return far.indexOf(Math.min(...far));
}

/** O texto em que não fica nenhum caractere de controle invisível; a quebra de linha fica. */
// eslint-disable-next-line no-control-regex
const printable = (text) => text.replace(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g, "�");

export default async function mount(box) {
  const answer = await fetch(new URL("../dados/filme.json", import.meta.url));
  if (!answer.ok) throw new Error(`filme.json: erro ${answer.status}`);
  const film = await answer.json();
  const frames = film.quadros, last = frames.length - 1, steps = frames[last].passo;
  let now = 0, timer = 0, mark = () => {};

  const chart = h("div", { class: "filme-curvas" });
  const numbers = h("p", { class: "filme-numeros" });
  const sample = h("blockquote", { class: "filme-amostra", tabindex: 0, "aria-label": "O que ele escreve" });
  const guesses = bars({ label: "As apostas para o próximo token", fit: false });
  const spoken = announcer();
  const scrub = slider({
    label: "Passo do treino", min: 0, max: last, step: 1, value: 0,
    format: (n) => `${br(frames[n].passo)} de ${br(steps)}`,
    onInput: (n) => { stop(); show(n); },
  });
  const play = button("Rodar o filme", () => (timer ? stop() : start()), { strong: true });
  box.append(
    chart, scrub.element, h("div", { class: "w-linha" }, play), numbers,
    h("p", { class: "w-rotulo" }, `O que ele escreve depois de “${film.abertura}”, sempre com os mesmos sorteios`),
    sample,
    h("p", { class: "w-rotulo" }, "O que ele acha que vem depois de"),
    h("blockquote", { class: "filme-pergunta" }, film.pergunta),
    guesses.element,
    h("p", { class: "w-dica" },
      `Um GPT de ${br(film.parametros / 1e6, 2)} milhão de parâmetros (C ${film.modelo.emb_dim}, ` +
      `${film.modelo.n_heads} cabeças, ${film.modelo.n_layers} blocos), que leu ${br(film.tokens / 1e6, 1)} milhões ` +
      "de tokens de histórias, cada uma uma vez só."),
    spoken.element,
  );

  // ------------------------------------------------------------------ as curvas

  const ceiling = Math.ceil(Math.max(...film.perda, ...frames.map((frame) => frame.validacao)));
  const peak = Math.max(...film.taxa);
  const alternative =
    `Duas curvas contra o passo, de 0 a ${br(steps)}. A perda nas histórias não lidas cai de ` +
    `${br(frames[0].validacao, 1)} para ${br(frames[last].validacao, 1)}, depressa no começo; a taxa sobe até ` +
    `${br(peak, 3)} e desce em cosseno.`;

  function draw(width) {
    const right = width - RIGHT, floor = TOP + LOSS_HEIGHT, rateTop = floor + GAP, rateFloor = rateTop + RATE_HEIGHT;
    const x = (step) => LEFT + (step / steps) * (right - LEFT);
    const y = (loss) => floor - (loss / ceiling) * LOSS_HEIGHT;
    const rateY = (rate) => rateFloor - (rate / peak) * RATE_HEIGHT;
    const text = (content, at, height, anchor = "end") =>
      svg("text", { x: at, y: height, "text-anchor": anchor, class: "filme-letra" }, content);
    const line = (values, place, color) => svg("polyline", {
      points: values.map((v, i) => `${x((i + 1) * film.de_quantos).toFixed(1)},${place(v).toFixed(1)}`).join(" "),
      fill: "none", stroke: color, "stroke-width": 1.5,
    });
    const rule = (height) => svg("line", { x1: LEFT, x2: right, y1: height, y2: height, class: "filme-grade" });
    const grid = [rule(rateFloor)];
    for (let loss = 0; loss <= ceiling; loss += 2) grid.push(rule(y(loss)), text(br(loss), LEFT - 8, y(loss) + 4));
    for (const part of [0, 0.25, 0.5, 0.75, 1]) {
      grid.push(text(br(steps * part), x(steps * part), rateFloor + 18, part ? (part < 1 ? "middle" : "end") : "start"));
    }
    const dots = frames.map((frame) =>
      svg("circle", { cx: x(frame.passo), cy: y(frame.validacao), fill: "var(--w-loss)" }));
    const cursor = svg("line", { y1: TOP, y2: rateFloor, stroke: "var(--w-ink)", "stroke-width": 1.5 });
    chart.replaceChildren(svg(
      "svg", { width, height: rateFloor + BOTTOM, role: "img", "aria-label": alternative },
      ...grid, line(film.perda, y, "var(--w-baseline)"), line(film.taxa, rateY, "var(--w-token)"), cursor, ...dots,
      text("perda (nats por token)", 0, TOP - 10, "start"), text("taxa de aprendizado", 0, rateTop - 10, "start"),
      text(br(peak, 2), LEFT - 8, rateTop + 5), text("0", LEFT - 8, rateFloor + 4),
      text("passo", right, rateFloor + 36),
    ));
    mark = () => {
      cursor.setAttribute("x1", x(frames[now].passo));
      cursor.setAttribute("x2", x(frames[now].passo));
      dots.forEach((dot, n) => dot.setAttribute("r", n === now ? 6 : 2.5));
    };
    mark();
    follow = (event) => {
      const at = event.clientX - chart.getBoundingClientRect().left;
      stop();
      show(nearestFrame(frames, ((at - LEFT) / (right - LEFT)) * steps));
    };
  }
  let follow;
  // o ponteiro, ou o dedo, leva o filme ao quadro mais perto
  chart.addEventListener("pointerdown", (event) => {
    chart.setPointerCapture(event.pointerId);
    follow(event);
  });
  chart.addEventListener("pointermove", (event) => chart.hasPointerCapture(event.pointerId) && follow(event));

  // ------------------------------------------------------------------ o quadro

  function show(n) {
    now = n;
    scrub.value = n;
    mark();
    const frame = frames[n], written = printable(frame.amostra);
    const facts = [
      ["treino", frame.treino === null ? "—" : br(frame.treino, 2), "var(--w-baseline)"],
      ["não lidas", br(frame.validacao, 2), "var(--w-loss)"],
      ["taxa", br(film.taxa[Math.max(0, Math.ceil(frame.passo / film.de_quantos) - 1)], 4), "var(--w-token)"],
      ["tokens lidos", br((film.tokens * frame.passo) / steps), null],
    ];
    numbers.replaceChildren(...facts.map(([name, value, color]) => h(
      "span", null,
      color && h("span", { class: "filme-cor", style: `background: ${color}`, "aria-hidden": "true" }),
      `${name} `, h("strong", null, value),
    )));
    sample.textContent = written;
    guesses.draw(frame.apostas.map(([text, p]) => ({ text: printable(text), p })));
    if (!timer) {
      spoken.say(`Passo ${br(frame.passo)}: perda de ${br(frame.validacao, 2)} nas histórias não lidas. ` +
        `Ele escreve: ${written}`);
    }
  }

  function start() {
    if (now === last) show(0);
    play.textContent = "Parar";
    timer = setInterval(() => (now === last ? stop() : show(now + 1)), DELAY);
  }

  function stop() {
    if (!timer) return;
    clearInterval(timer);
    timer = 0;
    play.textContent = "Rodar o filme";
    show(now);
  }

  new ResizeObserver(([entry]) => draw(Math.max(240, entry.contentRect.width))).observe(chart);
  show(0);
}
