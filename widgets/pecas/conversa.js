// Uma conversa com o conversa-mini, em fluxo: os turnos que estão na janela, e o prompt como o modelo o vê.
import { announcer, asSentence, br, button, debounce, h, loadButton, textField, visible } from "../comum.js";

const EMPTY = "A conversa está vazia. Escreva a primeira mensagem.";
const MARK = /^<\|.*\|>$/;

export default function mount(box) {
  box.append(loadButton("conversa-mini", start).element);

  async function start(model) {
    let turns = [], running = null, failed = "";
    const context = model.config.context_length, limit = context - Math.floor(context / 2);

    const list = h("ol", { class: "conversa-turnos", tabindex: 0, "aria-label": "A conversa" });
    const message = textField({ label: "A sua mensagem", rows: 1, limit: 2000, onInput: debounce(look) });
    const send = button("Enviar", () => (running ? running.abort() : say()), { strong: true });
    const again = button("Recomeçar", () => {
      running?.abort();
      turns = [];
      draw();
      look();
      spoken.say(EMPTY);
      message.input.focus();
    });
    const status = h("p", { class: "w-nota", role: "status" });
    const room = h("p", { class: "w-fala" });
    const used = h("span", { class: "conversa-usada" });
    const prompt = h("p", { class: "conversa-prompt", tabindex: 0, "aria-label": "O prompt, token por token" });
    const spoken = announcer();

    message.input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      if (!running) say();
    });

    async function say() {
      const text = message.value.trim();
      failed = "";
      if (!text) {
        status.textContent = "A mensagem está vazia; escreva alguma coisa.";
        return;
      }
      const turn = [text, null], asked = [...turns, turn], run = (running = new AbortController());
      try {
        await model.chatPrompt(asked); // a que não cabe fica no campo, e a conversa, como estava
      } catch (error) {
        running = null;
        status.textContent = asSentence(error);
        return;
      }
      turns = asked;
      message.value = "";
      status.textContent = "";
      send.textContent = "Parar";
      const reply = h("span");
      draw(reply);
      try {
        turn[1] = await model.chat(asked, { signal: run.signal, onToken: (token) => reply.append(token.text) });
      } catch (error) {
        turn[1] = "";
        failed = asSentence(error);
      }
      running = null;
      send.textContent = "Enviar";
      spoken.say(`O modelo disse: ${turn[1]}`);
      draw();
      await look();
    }

    /** A janela e o prompt da próxima mensagem, como está escrita. */
    async function look() {
      if (running) return;
      let seen;
      try {
        seen = await model.chatPrompt([...turns, [message.value.trim(), null]]);
      } catch (error) {
        status.textContent = asSentence(error);
        return;
      }
      const { ids, tokens, dropped } = seen;
      status.textContent = failed;
      Array.from(list.children).forEach((item, n) => item.classList.toggle("conversa-fora", n < dropped.length));
      used.style.width = `${(100 * ids.length) / context}%`;
      room.textContent =
        `O pedido tem ${br(ids.length)} dos ${br(limit)} ids que cabem; os outros ${br(context - limit)} ficam para a resposta.` +
        (turns.length ? ` À vista do modelo: ${br(turns.length - dropped.length)} de ${br(turns.length)} turnos.` : "");
      prompt.replaceChildren(...tokens.map(({ id, text }) =>
        h("span", { class: MARK.test(text) ? "conversa-token conversa-marca" : "conversa-token", title: `id ${id}` }, visible(text))));
    }

    function draw(reply) {
      list.replaceChildren(...turns.map(([user, assistant], n) => h(
        "li", { class: "conversa-turno" },
        h("p", { class: "conversa-pessoa" }, h("span", { class: "conversa-quem" }, "você"), user),
        h("p", { class: "conversa-modelo" }, h("span", { class: "conversa-quem" }, "modelo"),
          reply && n === turns.length - 1 ? reply : assistant),
      )));
      list.scrollTop = list.scrollHeight;
    }

    spoken.say(EMPTY);
    await look();
    box.append(
      list, message.element, h("div", { class: "w-linha" }, send, again), status,
      h("div", { class: "conversa-janela", "aria-hidden": "true" }, used, h("span", { class: "conversa-reservada" }, "a resposta")),
      room, h("details", null, h("summary", null, "O prompt como o modelo o vê"), prompt), spoken.element,
    );
  }
}
