// A página que `homellm.web.export_web` escreve: o modelo está nela, e ela faz o que ele sabe fazer.

import { open } from "../modelo.js";

const find = (selector) => document.querySelector(selector);
const element = (tag, props) => Object.assign(document.createElement(tag), props);
const number = (value, digits = 0) =>
  value.toLocaleString("pt-BR", { maximumFractionDigits: digits });
const stored = (id) => find(id).textContent;

const form = find("form");
const field = find("#texto");
const output = find("#saida");
const notice = find("#aviso");
const temperature = find("#temperatura");

/** Os bytes escritos na página em base64. */
function bytes(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
}

/** Um texto, e a continuação do modelo logo depois. */
async function writes(model, text, options) {
  output.replaceChildren(element("strong", { textContent: text }));
  const more = element("span");
  output.append(more);
  options.onToken = (token) => more.append(token.text);
  const ids = await model.stream(await model.encode(text), {
    ...options,
    maxNewTokens: 200,
  });
  notice.textContent = ids.length
    ? ""
    : "O modelo acabou o texto aí mesmo. Aperte de novo, ou mude o texto.";
}

/** Uma conversa: cada fala na tela, e o modelo responde à última. */
function talks() {
  const turns = [];
  const say = (textContent, who) =>
    find("#conversa").appendChild(
      element("div", { className: `fala ${who}`, textContent }),
    );
  return async (model, text, options) => {
    turns.push([text, null]);
    try {
      await model.chatPrompt(turns); // não cabe? a mensagem fica no campo, e a conversa, como estava
      say(text, "usuario");
      field.value = "";
      const reply = say("", "modelo");
      options.onToken = (token) => reply.append(token.text);
      turns.at(-1)[1] = reply.textContent = await model.chat(turns, options);
      notice.textContent = "";
    } catch (error) {
      turns.pop();
      throw error;
    }
  };
}

/** As classes, com a probabilidade de cada uma. */
async function classifies(model, text) {
  const { label, probabilities } = await model.classify(text);
  const table = element("table");
  for (const { label: name, p } of probabilities) {
    const bar = element("div", { className: "barra" });
    bar.style.width = `${100 * p}%`;
    const row = table.insertRow();
    row.append(element("th", { scope: "row", textContent: name }));
    row.insertCell().append(bar);
    row.append(
      element("td", { className: "valor", textContent: `${number(100 * p, 1)}%` }),
    );
  }
  output.replaceChildren(
    element("p", { textContent: `O modelo diz: ${label}.` }),
    table,
  );
  notice.textContent = "";
}

const MODES = {
  texto: ["Comece um texto", "Continuar", writes, "Era uma vez"],
  conversa: ["Diga alguma coisa", "Enviar", talks(), ""],
  classe: ["Escreva um texto", "Classificar", classifies, ""],
};

async function start() {
  const program = new Blob([stored("#worker")], { type: "text/javascript" });
  const model = await open(
    bytes(stored("#pesos")),
    () => new Worker(URL.createObjectURL(program)),
  );
  const { params, bytes: size } = model.info;
  find("#sobre").textContent =
    `São ${number(params)} parâmetros em ${number(size / 1e6, 1)} MB, e o modelo lê até ` +
    `${number(model.config.context_length)} tokens. Ele roda aqui, no seu navegador, sem rede. ` +
    "Feito com o livro “Fazendo um LLM do Zero”.";

  const [label, verb, act, example] = MODES[JSON.parse(stored("#conversa-ou-texto"))];
  find("label[for=texto]").textContent = label;
  find("#vai").textContent = verb;
  find("#com-temperatura").hidden = find("#para").hidden = act === classifies;
  if (act !== writes) temperature.value = 0;
  field.value = example;
  form.hidden = false;

  const show = () =>
    (find("output").textContent = number(Number(temperature.value), 1));
  temperature.addEventListener("input", show);
  show();
  let control = new AbortController();
  find("#para").addEventListener("click", () => control.abort());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const busy = (yes) => {
      find("#vai").disabled = yes;
      find("#para").disabled = !yes;
    };
    if (act !== writes && !field.value.trim()) {
      notice.textContent = "O texto está vazio; escreva alguma coisa.";
      return;
    }
    control = new AbortController();
    busy(true);
    notice.textContent = "Um momento…";
    try {
      await act(model, field.value, {
        temperature: Number(temperature.value),
        signal: control.signal,
      });
    } catch (error) {
      notice.textContent = `Não deu: ${error.message}.`;
    }
    busy(false);
  });
  field.addEventListener("keydown", (event) => {
    if (act !== writes && event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      if (!find("#vai").disabled) form.requestSubmit();
    }
  });
}

start().catch((error) => {
  find("#sobre").textContent = `O modelo não abriu: ${error.message}.`;
});
