// O spam-mini na mensagem do leitor, e quanto cada token pesa: tira-se um, mede-se de novo.
import { announcer, asSentence, br, button, debounce, h, loadButton, textField, visible } from "../comum.js";

const EXAMPLES = [
  "sua conta sera bloqueada, clique em banco.invalido",
  "mãe, chego às sete, guarda um pão pra mim",
  "ganhe dinheiro fácil",
];
const SHOWN = 8, STRONG = 2; // a mudança que pinta o token da cor cheia

/** Quanto um token puxa para spam: a mudança que ele faz em ln(p spam / p ham). */
export function weight(whole, without) {
  const odds = ([ham, spam]) => Math.log(spam) - Math.log(ham);
  return odds(whole) - odds(without);
}

/** A probabilidade, com as casas que ainda mudam perto de 0 e de 1. */
function precise(p) {
  if (p > 0.9999 || p < 0.0001) return p > 0.5 ? "mais de 99,99%" : "menos de 0,01%";
  return `${br(100 * p, p > 0.99 || p < 0.01 ? 2 : 0)}%`;
}

export default function mount(box) {
  box.append(loadButton("spam-mini", start).element);

  async function start(model) {
    let running = null;
    const message = textField({ label: "A mensagem", value: EXAMPLES[0], limit: 300, onInput: debounce(measure, 400) });
    const examples = EXAMPLES.map((text) => button(`“${text}”`, () => {
      message.value = text;
      measure();
    }, { class: "w-botao spam-exemplo" }));
    const status = h("p", { class: "w-nota", role: "status" });
    const verdict = h("p", { class: "spam-veredito" });
    const gauge = h("div", { class: "spam-medidor", "aria-hidden": "true" }, h("span"));
    const text = h("p", { class: "spam-texto", "aria-label": "A mensagem, token por token" });
    const about = h("p", { class: "w-fala" });
    const heaviest = h("ol", { class: "w-barras", "aria-label": "Os tokens que mais pesam" });
    const spoken = announcer();

    async function measure() {
      running?.abort();
      const run = (running = new AbortController());
      const typed = message.value;
      const weights = [];
      let tokens = [], whole = null;
      if (!typed.trim()) {
        for (const part of [verdict, text, about, heaviest]) part.replaceChildren();
        gauge.firstChild.style.width = "0";
        status.textContent = "A mensagem está vazia; escreva alguma coisa.";
        return;
      }
      const onToken = (part) => {
        if (run !== running) return;
        if (part.whole) {
          ({ tokens, whole } = part);
          begin(tokens, whole);
        } else {
          weights[part.n] = weight(whole, part.without);
          paint(part.n, tokens, whole, part.without, weights[part.n]);
          status.textContent = `Medindo sem cada token: ${br(tokens.length - part.n)} de ${br(tokens.length)}…`;
        }
      };
      try {
        await model.contributions(typed, { signal: run.signal, onToken });
      } catch (error) {
        status.textContent = asSentence(error);
        return;
      }
      if (run !== running) return;
      status.textContent = "";
      rank(tokens, weights);
      spoken.say(`${verdict.textContent} O token que mais pesa é “${tokens[order(weights)[0]].text.trim()}”.`);
    }

    function begin(tokens, [, spam]) {
      const label = spam > 0.5 ? "spam" : "ham";
      verdict.replaceChildren(h("strong", null, label), `, com probabilidade de ${precise(Math.max(spam, 1 - spam))}.`);
      verdict.dataset.label = label;
      gauge.firstChild.style.width = `${100 * spam}%`;
      about.replaceChildren();
      heaviest.replaceChildren();
      text.replaceChildren(...tokens.map((token) =>
        h("button", { type: "button", class: "spam-token", disabled: true }, visible(token.text))));
    }

    function paint(n, tokens, [, before], [, after], pull) {
      const chip = text.children[n];
      const sentence = `Sem “${visible(tokens[n].text)}”, a probabilidade de spam vai de ${precise(before)} a ${precise(after)}.`;
      chip.disabled = false;
      chip.title = sentence;
      chip.classList.add(pull > 0 ? "spam-puxa" : "spam-afasta");
      chip.style.setProperty("--quanto", Math.min(1, Math.abs(pull) / STRONG).toFixed(2));
      chip.addEventListener("click", () => {
        for (const other of text.children) other.setAttribute("aria-pressed", other === chip);
        about.textContent = sentence;
        spoken.say(sentence);
      });
    }

    const order = (weights) => [...weights.keys()].sort((a, b) => Math.abs(weights[b]) - Math.abs(weights[a]));

    function rank(tokens, weights) {
      const first = order(weights).slice(0, SHOWN), top = Math.max(...first.map((n) => Math.abs(weights[n])));
      heaviest.replaceChildren(...first.map((n) => h(
        "li", { class: "w-barra" },
        h("span", { class: "w-barra-token" }, visible(tokens[n].text)),
        h("span", { class: "spam-trilho", "aria-hidden": "true" },
          h("span", { class: weights[n] > 0 ? "spam-puxa" : "spam-afasta", style: `width: ${(50 * Math.abs(weights[n])) / top}%` })),
        h("span", { class: "w-barra-valor" }, `${weights[n] > 0 ? "+" : "−"}${br(Math.abs(weights[n]), 2)}`),
      )));
    }

    box.append(
      message.element, h("div", { class: "w-linha", role: "group", "aria-label": "Exemplos" }, ...examples), status,
      verdict, gauge, text,
      h("p", { class: "w-dica" },
        h("span", { class: "spam-chave spam-puxa" }), " puxa para spam · ", h("span", { class: "spam-chave spam-afasta" }),
        " puxa para ham. Toque num token para ver a mensagem sem ele."),
      about, h("p", { class: "w-rotulo" }, "Os que mais pesam, em ln(p spam / p ham)"), heaviest, spoken.element,
    );
    await measure();
  }
}
