// A capa: uma frase que se digita e, em barras, o que o contos-mini acha que vem depois. Clica-se e continua-se.
import { announcer, bars, button, debounce, h, loadButton, percent, textField, visible } from "../comum.js";

const END = "<|endoftext|>";
const START = "O ônibus das seis chegou às";
const SHOWN = 8, RUN = 20;

export default function mount(box) {
  box.append(loadButton("contos-mini", start).element);

  async function start(model) {
    let ids = [], turn = 0, writing = null; // `turn` muda quando a frase muda
    const speech = announcer();
    const note = h("p", { class: "w-nota", role: "status" });
    const guess = bars({ label: "O que o modelo acha que vem depois", onPick: pick });
    const field = textField({ label: "Escreva o começo de uma frase", value: START, onInput: debounce(read, 120) });
    const one = button("Sortear um", () => write(1), { strong: true });
    const many = button("Sortear vinte", () => (writing ? writing.abort() : write(RUN)));
    const again = button("Recomeçar", () => {
      field.value = START;
      read(START);
    });
    const name = ({ text }) => (text === END ? "o fim do texto" : `“${visible(text)}”`);

    /** Começa uma vez de mexer na frase: o que se escrevia para. */
    function take() {
      writing?.abort();
      writing = null;
      many.textContent = "Sortear vinte";
      note.textContent = "";
      return ++turn;
    }

    /** Quem entra no campo, ou digita, fica com a frase como ela está. */
    function stop() {
      if (writing) read(field.value);
    }

    async function read(text) {
      const mine = take();
      const read = await model.encode(text);
      if (mine !== turn) return;
      ids = read;
      await look(mine);
    }

    async function look(mine) {
      const items = await model.next(ids, { top: SHOWN });
      if (mine !== turn) return;
      guess.draw(items.map((item) => (item.text === END ? { ...item, label: "fim do texto" } : item)));
      const [first, ...others] = items.slice(0, 3).map(name);
      speech.say(`O mais provável agora é ${first}, com ${percent(items[0].p)}; depois, ${others.join(" e ")}.`);
    }

    async function pick({ id, text }) {
      const mine = take();
      if (text === END) {
        note.textContent = "Aqui o modelo acabaria o texto. Escolha outro, ou recomece.";
        return;
      }
      ids = [...ids, id];
      field.value = await model.decode(ids);
      await look(mine);
    }

    async function write(count) {
      const mine = take();
      const begin = field.value;
      let added = "";
      writing = new AbortController();
      if (count > 1) many.textContent = "Parar";
      const { signal } = writing;
      const fresh = await model.stream(ids, {
        maxNewTokens: count,
        signal,
        onToken: ({ text }) => {
          added += text;
          if (mine === turn) field.value = begin + added;
        },
      });
      if (mine !== turn) return;
      writing = null;
      many.textContent = "Sortear vinte";
      ids = [...ids, ...fresh];
      if (fresh.length < count && !signal.aborted) note.textContent = "O modelo sorteou o fim do texto.";
      await look(mine);
    }

    for (const event of ["focus", "input"]) field.input.addEventListener(event, stop);
    await read(START);
    box.append(field.element, guess.element, h("div", { class: "w-linha" }, one, many, again), note, speech.element);
  }
}
