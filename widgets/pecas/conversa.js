// Uma conversa com o conversa-mini, em fluxo: os turnos que estão na janela, e o prompt como o modelo o vê.
import { announcer, br, button, debounce, h, loadButton, textField, visible } from "../comum.js";

const MARK = /^<\|.*\|>$/;

export default function mount(box) {
  let model = null, turns = [], running = null, failed = "";

  const list = h("ol", { class: "conversa-turnos", tabindex: 0, "aria-label": "A conversa" });
  const message = textField({ label: "A sua mensagem", rows: 1, limit: 2000, onInput: debounce(look) });
  const send = button("Enviar", () => (running ? running.abort() : say()), { strong: true });
  const again = button("Recomeçar", () => { running?.abort(); turns = []; draw(); look(); message.input.focus(); });
  const status = h("p", { class: "w-nota", role: "status" });
  const room = h("p", { class: "w-fala" });
  const gauge = h("div", { class: "conversa-janela", "aria-hidden": "true" },
    h("span", { class: "conversa-usada" }), h("span", { class: "conversa-reservada" }, "a resposta"));
  const prompt = h("p", { class: "conversa-prompt", tabindex: 0, "aria-label": "O prompt, token por token" });
  const spoken = announcer();
  const live = h(
    "div", { class: "conversa-viva", hidden: true },
    list, message.element, h("div", { class: "w-linha" }, send, again), status, gauge, room,
    h("details", null, h("summary", null, "O prompt como o modelo o vê"), prompt),
  );
  const loader = loadButton("conversa-mini", async (loaded) => {
    model = loaded;
    live.hidden = false;
    await look();
    message.input.focus();
  });
  box.append(loader.element, live, spoken.element);

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
    const turn = [text, null], run = (running = new AbortController()), asked = [...turns, turn];
    const reply = h("span");
    try {
      await model.chatPrompt(asked); // a que não cabe fica no campo, e a conversa, como estava
    } catch (error) {
      running = null;
      status.textContent = sentence(error);
      return;
    }
    turns = asked;
    message.value = "";
    status.textContent = "";
    send.textContent = "Parar";
    draw(reply);
    let said = "";
    try {
      said = await model.chat(asked, {
        signal: run.signal,
        onToken: ({ text: piece }) => reply.append(piece),
      });
    } catch (error) {
      failed = sentence(error);
    }
    if (running === run) running = null;
    send.textContent = "Enviar";
    turn[1] = said;
    spoken.say(`O modelo disse: ${said}`);
    draw();
    await look();
  }

  const sentence = (error) => `${error.message[0].toUpperCase()}${error.message.slice(1)}.`;

  /** A janela e o prompt da próxima mensagem, como está escrita. */
  async function look() {
    if (!model || running) return;
    const context = model.config.context_length, limit = context - Math.floor(context / 2);
    let seen;
    try {
      seen = await model.chatPrompt([...turns, [message.value.trim(), null]]);
    } catch (error) {
      status.textContent = sentence(error);
      return;
    }
    status.textContent = failed;
    const { ids, tokens, dropped } = seen;
    list.querySelectorAll(".conversa-turno").forEach((item, n) => item.classList.toggle("conversa-fora", n < dropped.length));
    gauge.firstChild.style.width = `${(100 * ids.length) / context}%`;
    gauge.firstChild.textContent = br(ids.length);
    const inside = turns.length - dropped.length;
    room.textContent =
      `O pedido tem ${br(ids.length)} dos ${br(limit)} ids que cabem; os outros ${br(context - limit)} ficam para a resposta. ` +
      (turns.length ? `À vista do modelo: ${br(inside)} de ${br(turns.length)} turnos.` : "");
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
}
