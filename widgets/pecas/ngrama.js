// O n-grama de letras do capítulo 1 escrevendo: a ordem, a temperatura e o que ele espera a cada letra.
import { announcer, askButton, bars, br, button, choices, h, slider, textField } from "../comum.js";
import { CONTOS, contos } from "../contos.js";
import { draw, heat } from "../motor/ngram.js";

const WRITE = 200, SHOWN = 8, PER_FRAME = 4;

export default function mount(box) {
  const ask = askButton({ label: "Ler os contos", url: CONTOS, bring: contos, onReady: start });
  const hint = h("p", { class: "w-dica" }, "O modelo se faz na hora, na sua máquina: ele conta as letras dos contos de treino do livro.");
  box.append(ask.element, hint);

  function start({ letters, model }) {
    let order = 3, running = 0;
    const speech = announcer();
    const field = textField({ label: "Começo do texto", value: "O sino ", onInput: () => look() });
    const heatDial = slider({
      label: "Temperatura", min: 0, max: 1.5, step: 0.05, value: 1, format: (x) => br(x, 2), onInput: () => look(),
    });
    const orders = choices("Ordem", [1, 2, 3, 4, 5, 6].map((value) => ({ value, label: br(value) })), order, (value) => {
      order = value;
      stop();
      look();
    });
    const next = bars({ label: "A próxima letra" });
    const page = h("p", { class: "ngrama-texto" });
    const go = button("Escrever", () => (running ? stop() : write()), { strong: true });
    const one = button("Só mais uma letra", () => {
      if (!page.textContent) page.textContent = field.value;
      page.append(letter());
      look();
      speech.say(page.textContent);
    });

    function chances() {
      const text = page.textContent || field.value;
      const seen = letters.encode(text.slice(-2 * order)); // um emoji ocupa dois lugares
      return heat(model(order).probs(order > 1 ? seen.slice(1 - order) : []), heatDial.value);
    }
    const letter = () => letters.decode([draw(chances(), Math.random())]);

    function look() {
      const p = chances();
      const best = Array.from(p.keys()).sort((i, j) => p[j] - p[i]).slice(0, SHOWN);
      next.draw(best.map((id) => ({ text: letters.decode([id]), p: p[id] })));
    }

    function write() {
      page.textContent = field.value;
      let left = WRITE;
      go.textContent = "Parar";
      const step = () => {
        for (let i = 0; i < PER_FRAME && left > 0; i++, left--) page.append(letter());
        look();
        if (left > 0) running = requestAnimationFrame(step);
        else {
          stop();
          speech.say(page.textContent);
        }
      };
      step();
    }

    function stop() {
      cancelAnimationFrame(running);
      running = 0;
      go.textContent = "Escrever";
    }

    field.input.addEventListener("input", () => {
      stop();
      page.textContent = "";
      look();
    });
    hint.remove();
    box.append(
      h("div", { class: "w-controles" }, orders.element, heatDial.element),
      field.element,
      h("div", { class: "w-linha" }, go, one),
      page,
      h("p", { class: "w-rotulo" }, `O que vem depois, entre ${br(letters.size)} sinais`),
      next.element,
      speech.element,
    );
    look();
  }
}
