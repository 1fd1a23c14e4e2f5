// A surpresa, em bits, de cada palavra de uma frase, para o n-grama de letras do capítulo 1.
import { announcer, askButton, br, choices, debounce, h, textField } from "../comum.js";
import { CONTOS, contos, wordBits } from "../contos.js";

const LIMIT = 300;

export default function mount(box) {
  const ask = askButton({ label: "Ler os contos", url: CONTOS, bring: contos, onReady: start });
  const hint = h("p", { class: "w-dica" }, "O modelo se faz na hora: ele conta as letras dos contos de treino do livro.");
  box.append(ask.element, hint);

  function start({ letters, model }) {
    let order = 6;
    const words = h("ol", { class: "surpresa-palavras", "aria-label": "Os bits de cada palavra" });
    const speech = announcer({ hidden: false });
    const orders = choices("Ordem", [1, 2, 3, 4, 5, 6].map((value) => ({ value, label: br(value) })), order, (value) => {
      order = value;
      show();
    });
    const field = textField({
      label: "Escreva uma frase", value: "O sino da praça bateu às seis, e o girassol atravessou a ponte.", limit: LIMIT,
      onInput: debounce(() => show()),
    });

    function show() {
      const text = field.value.trim();
      const costs = wordBits(model(order), letters, text);
      const most = Math.max(...costs.map(({ bits }) => bits), 1);
      words.replaceChildren(
        ...costs.map(({ word, bits }) =>
          h("li", { style: `--parte: ${bits / most}` }, h("span", null, word.trim()), h("span", { class: "surpresa-bits" }, br(bits, 1)))),
      );
      if (!costs.length) {
        speech.say("Escreva ao menos uma palavra.");
        return;
      }
      const total = costs.reduce((sum, { bits }) => sum + bits, 0);
      const bytes = new TextEncoder().encode(text).length;
      const worst = costs.reduce((a, b) => (b.bits > a.bits ? b : a));
      speech.say(
        `Ao todo, ${br(total, 1)} bits em ${br(bytes)} bytes: ${br(total / bytes, 2)} bits por byte. ` +
        `A palavra que mais surpreende é “${worst.word.trim()}”, com ${br(worst.bits, 1)} bits.`,
      );
    }

    hint.remove();
    box.append(orders.element, field.element, words, speech.element);
    show();
  }
}
