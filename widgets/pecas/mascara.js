// A máscara da perda sobre uma conversa que se escreve: em cada posição, o token que entra e o alvo, que é o
// seguinte, ou −100 se não é o assistente quem o escreve. A conta é a de homellm.instruction.
import { announcer, asSentence, br, button, choices, debounce, h, textField, visible } from "../comum.js";
import { loadTokenizer } from "../modelo.js";

const IGNORE = -100, LIMIT = 120, MOST_TURNS = 4, MARK = /^<\|.*\|>$/;
const START = [["Oi! Meu nome é Lia.", "Prazer, Lia."], ["Como eu me chamo?", "Lia."]];

/** Entradas e alvos, como os de `collate_instructions`: o alvo é o id seguinte, ou −100 se não conta. */
export function targets(ids, written) {
  return { inputs: ids.slice(0, -1), targets: ids.slice(1).map((id, i) => (written[i + 1] ? id : IGNORE)) };
}

export default async function mount(box) {
  const tokenizer = await loadTokenizer("conversa-mini");
  let turns = START.map((turn) => [...turn]), system = "Seja breve.", responseOnly = true;

  const fields = h("div", { class: "mascara-falas" });
  const rows = h("ol", { class: "mascara-fila", "aria-label": "Entrada e alvo de cada posição" });
  const count = h("p", { class: "w-fala" });
  const spoken = announcer();
  const more = button("Mais um turno", () => change(() => turns.push(["", ""])));
  const fewer = button("Tirar o último turno", () => change(() => turns.pop()));
  const rule = choices(
    "Conta na perda", [{ value: true, label: "só a resposta" }, { value: false, label: "tudo" }], true,
    (value) => { responseOnly = value; update(); },
  );
  box.append(
    fields, h("div", { class: "w-linha" }, more, fewer), rule.element, count,
    h("p", { class: "w-dica" }, "Em cima, o token que entra; embaixo, o alvo: o token seguinte, com o id, ou −100."),
    rows, spoken.element,
  );

  function change(action) {
    action();
    build();
    update();
  }

  function build() {
    const field = (label, value, onInput, more) =>
      textField({ label, value, rows: 1, limit: LIMIT, ...more, onInput: (text) => { onInput(text); later(); } }).element;
    fields.replaceChildren(
      field("Linha de sistema (pode ficar vazia)", system, (text) => { system = text; }),
      ...turns.flatMap((turn, n) => ["Pessoa", "Assistente"].map((who, side) =>
        field(`${who}, turno ${n + 1}`, turn[side], (text) => { turn[side] = text; }, { hint: "" }))),
    );
    more.disabled = turns.length === MOST_TURNS;
    fewer.disabled = turns.length === 1;
  }

  async function update() {
    let tokens, written;
    try {
      ({ tokens, written } = await tokenizer.conversation(turns, { system }));
    } catch (error) {
      count.textContent = asSentence(error);
      return;
    }
    const ids = tokens.map((token) => token.id);
    const row = targets(ids, responseOnly ? written : written.map(() => true));
    const counted = row.targets.filter((target) => target !== IGNORE).length;
    rows.replaceChildren(...row.targets.map((target, i) => {
      const counts = target !== IGNORE;
      return h(
        "li", { class: counts ? "mascara-conta" : null },
        h("span", { class: MARK.test(tokens[i].text) ? "mascara-token conversa-marca" : "mascara-token" }, visible(tokens[i].text)),
        h("span", { class: "mascara-alvo" }, counts ? `${visible(tokens[i + 1].text)} (${target})` : "−100"),
      );
    }));
    count.replaceChildren(
      h("strong", null, `${br(counted)} de ${br(row.targets.length)} alvos contam`),
      `, ${br((100 * counted) / row.targets.length)}%. A perda é a média sobre eles.`,
    );
    spoken.say(`${br(counted)} de ${br(row.targets.length)} alvos contam.`);
  }
  const later = debounce(update);

  build();
  await update();
}
