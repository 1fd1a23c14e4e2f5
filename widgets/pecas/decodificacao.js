// Os botões da decodificação sobre logits de verdade: o que sobra depois de cada corte, e o texto que sai.
import {
  announcer, asSentence, br, button, choices, debounce, h, loadButton, percent, progress, slider, textField, visible,
} from "../comum.js";
import { load } from "../modelo.js";
import { draw, largest, nextTokenProbs, penalizeRepetition, uniforms } from "../motor/sampling.js";
import { END } from "../motor/tokenizer.js";

const OPENINGS = {
  "contos-mini": "A chuva caiu a noite inteira, e de manhã o",
  "historias-mini": "Numa tarde de chuva, um sapo",
};
const SHOWN = 12, AT_ONCE = 40;
const TOP_K = [null, 500, 200, 100, 50, 30, 20, 10, 5, 3, 2, 1];

/**
 * A distribuição depois de cada botão, na ordem de `homellm.generation`: `[{probs, left, kept}]`. `left`
 * é quantos tokens ainda podem sair; `kept`, quanto somavam estes na etapa de cima.
 */
export function stages(logits, ids, { temperature = 1, topK = null, topP = null, repetitionPenalty = 1 } = {}) {
  const penalized = repetitionPenalty === 1 ? logits : penalizeRepetition(logits, ids, repetitionPenalty);
  const rows = [
    nextTokenProbs(logits),
    nextTokenProbs(penalized),
    nextTokenProbs(penalized, { temperature }),
    nextTokenProbs(penalized, { temperature, topK }),
    nextTokenProbs(penalized, { temperature, topK, topP }),
  ];
  return rows.map((probs, n) => {
    let left = 0, kept = 0;
    probs.forEach((p, id) => {
      if (p === 0) return;
      left++;
      kept += rows[Math.max(0, n - 1)][id];
    });
    return { probs, left, kept };
  });
}

export default function mount(box) {
  box.append(loadButton("contos-mini", start).element);

  async function start(first) {
    let model = first, ids = [], written = 0, seed = 1, running = null, last = null, blocked = false;
    const options = { temperature: 1, topK: null, topP: null, repetitionPenalty: 1 };

    const prompt = textField({ label: "O começo do texto", value: OPENINGS["contos-mini"], limit: 400, onInput: debounce(restart) });
    const status = h("p", { class: "w-nota", role: "status" });
    const output = h("p", { class: "decod-texto", tabindex: 0, "aria-label": "O texto que sai" });
    const tokens = h("ol", { class: "w-barras", "aria-label": "Os tokens mais prováveis, antes e depois" });
    const spoken = announcer();
    const which = choices("Modelo", Object.keys(OPENINGS).map((value) => ({ value, label: value })), "contos-mini", choose);
    const knob = (label, max, step, option, format, read = (x) => x, value = 1, min = 1) => slider({
      label, min, max, step, value, format,
      onInput: (x) => {
        options[option] = read(x);
        if (!last) return;
        show();
        tellLater();
      },
    });
    const off = "desligado";
    const knobs = [
      knob("Penalidade de repetição", 2, 0.05, "repetitionPenalty", (x) => (x === 1 ? off : br(x, 2))),
      knob("Temperatura", 2, 0.05, "temperature", (x) => (x === 0 ? "0, o guloso" : br(x, 2)), undefined, 1, 0),
      knob("top-k", TOP_K.length - 1, 1, "topK", (n) => (TOP_K[n] === null ? off : br(TOP_K[n])), (n) => TOP_K[n], 0, 0),
      knob("top-p", 1, 0.05, "topP", (x) => (x === 1 ? off : br(x, 2)), (x) => (x === 1 ? null : x), 1, 0.05),
    ];
    const steps = [null, ...knobs].map((control) => ({
      control, effect: h("span", { class: "decod-efeito" }), band: h("span", { class: "decod-faixa", "aria-hidden": "true" }),
    }));
    const many = button(`Escrever ${AT_ONCE} tokens`, () => (running ? stop() : write(AT_ONCE)), { strong: true });
    const one = button("Um token", () => write(1));
    const again = button("Recomeçar", restart);
    const other = button("Outros sorteios", () => { seed++; restart(); });

    // ---------------------------------------------------------------- o modelo e o texto

    async function choose(name) {
      const typed = !Object.values(OPENINGS).includes(prompt.value);
      const bar = progress("Carregando o modelo");
      stop();
      status.replaceChildren("Carregando… ", bar.element);
      try {
        model = await load(name, { onProgress: bar.set });
      } catch (error) {
        status.textContent = asSentence(error);
        return;
      }
      if (!typed) prompt.value = OPENINGS[name];
      await restart();
    }

    function stop() {
      if (running) running.stopped = true;
      running = null;
      many.textContent = `Escrever ${AT_ONCE} tokens`;
    }

    async function restart() {
      stop();
      last = null;
      const text = prompt.value;
      try {
        ids = await model.encode(text);
      } catch (error) {
        return warn(asSentence(error));
      }
      written = 0;
      output.replaceChildren(text);
      await look();
    }

    /** Lê os logits do que vem depois do texto e mostra as etapas. */
    async function look() {
      status.textContent = "";
      blocked = one.disabled = many.disabled = false;
      if (!ids.length) return warn("Escreva ao menos uma letra: sem começo, não há o que continuar.");
      if (ids.length >= model.config.context_length) {
        return warn(`A janela encheu: são ${br(model.config.context_length)} tokens. Recomece, ou encurte o texto.`);
      }
      const seen = ids;
      const logits = await model.logits(seen);
      if (seen !== ids) return; // o texto mudou enquanto se fazia a conta
      const order = largest(nextTokenProbs(logits), SHOWN);
      last = { logits, order, texts: await Promise.all(order.map((id) => model.decode([id]))) };
      show();
      tell();
    }

    function warn(sentence) {
      status.textContent = sentence;
      blocked = one.disabled = many.disabled = true;
      stop();
    }

    async function write(count) {
      const run = (running = { stopped: false });
      if (count > 1) many.textContent = "Parar";
      const before = output.textContent.length;
      for (let n = 0; n < count && last && !run.stopped && !blocked; n++) {
        const probs = stages(last.logits, ids, options).at(-1).probs;
        const random = uniforms(seed);
        for (let skip = 0; skip < written; skip++) random(); // o token n usa sempre o sorteio n
        const id = options.temperature === 0 ? largest(probs, 1)[0] : draw(probs, random());
        const text = await model.decode([id]);
        if (run.stopped) return;
        if (text === END) {
          warn("O modelo escreveu a marca de fim: o texto acabou. Recomece para escrever outro.");
          break;
        }
        ids = [...ids, id];
        written++;
        output.append(h("span", { style: `--p: ${probs[id].toFixed(3)}`, title: percent(probs[id]) }, text));
        await look();
      }
      if (running === run) stop();
      spoken.say(`Ele escreveu: ${output.textContent.slice(before)}`);
    }

    /** O que as barras dizem, para quem as ouve. */
    function tell() {
      if (!last || running) return; // enquanto escreve, quem fala é o texto
      const { probs, left } = stages(last.logits, ids, options).at(-1), best = largest(probs, 1)[0];
      const named = last.order.includes(best) ? `“${last.texts[last.order.indexOf(best)].trim()}”, com` : "um com";
      spoken.say(`Podem sair ${br(left)} tokens; o mais provável é ${named} ${percent(probs[best])}.`);
    }
    const tellLater = debounce(tell, 400);

    // ---------------------------------------------------------------- as barras

    /** O que a etapa `n` fez, em poucas palavras. */
    function effect(rows, n) {
      const { left, kept } = rows[n], favourite = (row) => percent(Math.max(...row.probs));
      const used = [true, options.repetitionPenalty !== 1, options.temperature !== 1, options.topK !== null, options.topP !== null];
      if (!used[n]) return "não muda nada";
      if (n === 0) return `${br(left)} tokens podem sair; o favorito tem ${favourite(rows[0])}`;
      if (n === 1) {
        const seen = [...new Set(ids)], sum = (row) => percent(seen.reduce((total, id) => total + row.probs[id], 0));
        return `os ${br(seen.length)} tokens do texto somavam ${sum(rows[0])}, e agora ${sum(rows[1])}`;
      }
      if (n === 2 && options.temperature > 0) return `o favorito vai de ${favourite(rows[1])} a ${favourite(rows[2])}`;
      return left === 1 ? `sobra 1, que tinha ${percent(kept)}` : `sobram ${br(left)}, que somavam ${percent(kept)}`;
    }

    function show() {
      const rows = stages(last.logits, ids, options), before = rows[0].probs, after = rows.at(-1).probs;
      rows.forEach((row, n) => {
        const rest = 1 - last.order.reduce((sum, id) => sum + row.probs[id], 0);
        steps[n].effect.textContent = effect(rows, n);
        steps[n].band.replaceChildren(
          ...last.order.map((id) => h("span", { style: `width: ${100 * row.probs[id]}%` })),
          h("span", { class: "decod-resto", style: `width: ${100 * Math.max(0, rest)}%` }),
        );
      });
      const top = Math.max(...last.order.map((id) => Math.max(before[id], after[id])));
      tokens.replaceChildren(...last.order.map((id, n) => h(
        "li", { class: after[id] ? "w-barra" : "w-barra decod-cortado" },
        h("span", { class: "w-barra-token" }, visible(last.texts[n])),
        h("span", { class: "w-barra-trilho decod-trilho", "aria-hidden": "true" },
          h("span", { class: "w-barra-cheia", style: `width: ${(100 * after[id]) / top}%` }),
          h("span", { class: "decod-antes", style: `width: ${(100 * before[id]) / top}%` })),
        h("span", { class: "w-barra-valor" }, after[id] ? percent(after[id]) : "cortado"),
      )));
    }

    await restart();
    box.append(
      which.element, prompt.element, status, output, h("div", { class: "w-linha" }, many, one, again, other),
      h("ol", { class: "decod-etapas", "aria-label": "O que sobra depois de cada botão" }, ...steps.map((step) => h(
        "li", null, step.control?.element ?? h("span", { class: "w-rotulo" }, "O que o modelo deu"),
        h("div", null, step.effect, step.band),
      ))),
      h("p", { class: "w-dica" }, `Cada fatia laranja é um dos ${SHOWN} tokens de baixo; a cinzenta, todos os outros juntos.`),
      h("p", { class: "w-rotulo" }, "O próximo token: o contorno é o que o modelo deu, e a barra cheia, o que ficou"),
      tokens, spoken.element,
    );
  }
}
