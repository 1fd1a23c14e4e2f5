// O que as peças têm em comum: elementos, botões, controles, campos, barras e o aviso para leitores de tela.
// Cada função devolve um elemento, ou um objeto cujo `element` é o que vai para a página.

export const PRIVATE = "Nada do que você digita sai do navegador.";

let ids = 0;

/** Um `id` que ninguém na página tem. */
export const newId = () => `w${++ids}`;

// ------------------------------------------------------------------ números e texto

/** O número como se escreve no Brasil: `br(1234.5, 1)` → "1.234,5". */
export function br(number, digits = 0) {
  return Number(number).toLocaleString("pt-BR", {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

/** A probabilidade em por cento: "13%", "0,4%", "menos de 0,1%". */
export function percent(p) {
  if (p > 0 && p < 0.001) return "menos de 0,1%";
  return `${br(100 * p, p < 0.1 && p > 0 ? 1 : 0)}%`;
}

/** Bytes como se lê: `megabytes(2645000)` → "2,6 MB". */
export const megabytes = (bytes) => `${br(bytes / 1e6, 1)} MB`;

/** O token com o espaço à vista: "␣nove"; a quebra de linha é ↵. */
export const visible = (text) => text.replaceAll(" ", "␣").replaceAll("\n", "↵").replaceAll("\t", "⇥");

/** A mensagem de um erro do motor, como frase: maiúscula no começo, ponto no fim. */
export const asSentence = ({ message }) => `${message[0].toUpperCase()}${message.slice(1)}.`;

/** O texto digitado, sem caracteres de controle e até `limit` letras; `note` diz o que se tirou, ou "". */
export function clean(text, limit = 400) {
  const printable = text.normalize("NFC").replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\ufffe\uffff\p{Cs}]/gu, "");
  const letters = Array.from(printable.slice(0, 4 * limit));
  const notes = [];
  if (printable.length < text.normalize("NFC").length) notes.push("Tirei os caracteres de controle.");
  if (letters.length > limit || printable.length > 4 * limit) {
    notes.push(`Fiquei com as primeiras ${br(limit)} letras.`);
  }
  return { text: letters.slice(0, limit).join(""), note: notes.join(" ") };
}

// ------------------------------------------------------------------ elementos

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name.startsWith("aria-") && value != null) element.setAttribute(name, value);
    else if (value != null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Um elemento: `h("p", {class: "x", onclick: f}, "texto", outro)`. */
export const h = (tag, properties, ...children) => fill(document.createElement(tag), properties, children);

/** O mesmo, de SVG. */
export const svg = (tag, properties, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), properties, children);

/** Um botão; `strong` é o que se quer que o leitor aperte primeiro. */
export function button(text, onclick, { strong = false, ...properties } = {}) {
  return h("button", { type: "button", class: strong ? "w-botao w-forte" : "w-botao", onclick, ...properties }, text);
}

/** Botões lado a lado, dos quais um está apertado: `choices("Ordem", [{value, label}], 2, onChange)`. */
export function choices(label, options, value, onChange) {
  const buttons = options.map((option) =>
    button(option.label, () => choose(option.value), { "aria-pressed": option.value === value }),
  );
  function choose(chosen) {
    buttons.forEach((b, i) => b.setAttribute("aria-pressed", options[i].value === chosen));
    onChange(chosen);
  }
  const element = h("div", { class: "w-escolhas", role: "group", "aria-label": label },
    h("span", { class: "w-rotulo" }, label), ...buttons);
  return { element, choose };
}

/** Um controle deslizante com rótulo e valor escrito; `format` faz do número o texto. */
export function slider({ label, min, max, step, value, format = (x) => br(x), onInput }) {
  const id = newId();
  const shown = h("output", { class: "w-valor", for: id }, format(value));
  const input = h("input", {
    id, type: "range", min, max, step, value, "aria-valuetext": format(value),
    oninput: () => {
      update();
      onInput(Number(input.value));
    },
  });
  function update() {
    const text = format(Number(input.value));
    shown.textContent = text;
    input.setAttribute("aria-valuetext", text);
  }
  const element = h("div", { class: "w-controle" }, h("label", { for: id, class: "w-rotulo" }, label), shown, input);
  return {
    element,
    input,
    get value() {
      return Number(input.value);
    },
    set value(number) {
      input.value = number;
      update();
    },
  };
}

/**
 * Um campo de texto com rótulo e a frase de que nada sai do navegador (de vários campos, só um precisa dizê-la:
 * nos outros, `hint: ""`); `onInput` recebe o texto já limpo.
 */
export function textField({ label, value = "", limit = 400, rows = 2, hint = `${PRIVATE} `, onInput }) {
  const id = newId();
  const note = h("span", { class: "w-nota", role: "status" });
  const input = h("textarea", {
    id, rows, "aria-describedby": `${id}-dica`, autocapitalize: "off", autocomplete: "off", spellcheck: "false",
    oninput: () => onInput(read()),
  });
  input.value = value;
  function read() {
    const cleaned = clean(input.value, limit);
    note.textContent = cleaned.note;
    return cleaned.text;
  }
  const element = h(
    "div", { class: "w-campo" },
    h("label", { for: id, class: "w-rotulo" }, label),
    input,
    h("p", { class: "w-dica", id: `${id}-dica` }, hint, note),
  );
  return {
    element,
    input,
    get value() {
      return read();
    },
    set value(text) {
      input.value = text;
      note.textContent = "";
    },
  };
}

/** A alternativa em texto, viva: `say(frase)` a escreve, e o leitor de tela a lê; só ele, se `hidden`. */
export function announcer({ hidden = true } = {}) {
  const element = h("p", { class: hidden ? "w-so-leitor" : "w-fala", "aria-live": "polite", "aria-atomic": "true" });
  return { element, say: (sentence) => (element.textContent = sentence) };
}

/** Uma barra de progresso: `set(0.4)`. */
export function progress(label) {
  const bar = h("progress", { max: 1, value: 0, "aria-label": label });
  return { element: bar, set: (fraction) => (bar.value = fraction) };
}

/** Chama `action` depois de `wait` ms sem outra chamada. */
export function debounce(action, wait = 150) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => action(...values), wait);
  };
}

// ------------------------------------------------------------------ o que só se carrega a pedido

/** Quantos bytes tem um arquivo do site; `null` se o servidor não diz. */
async function bytesOf(url) {
  const answer = await fetch(url, { method: "HEAD" });
  return answer.ok ? Number(answer.headers.get("content-length")) || null : null;
}

/**
 * Um botão que traz um arquivo do site quando se pede, com o tamanho dele escrito e a barra do que já veio. Enquanto
 * está na página, o estático da peça continua à vista. `bring(onProgress)` traz; `onReady(resultado)` monta o resto.
 * Se não veio, diz uma frase e o botão volta.
 */
export function askButton({ label, url, bring, onReady }) {
  const bar = progress(label);
  const status = h("p", { class: "w-nota", role: "status" });
  const start = button(label, ask, { strong: true });
  const element = h("div", { class: "w-carrega w-espera" }, start, status);
  bytesOf(url).then((bytes) => bytes && (start.textContent = `${label} (${megabytes(bytes)})`), () => {});

  async function ask() {
    const focused = document.activeElement === start;
    start.disabled = true;
    bar.set(0);
    status.replaceChildren("Carregando… ", bar.element);
    try {
      const result = await bring(bar.set);
      const box = element.parentElement;
      await onReady(result);
      element.remove();
      if (focused) { // quem anda pelo teclado continua daqui
        box.tabIndex = -1;
        box.focus({ preventScroll: true });
      }
    } catch (error) {
      console.info(`${label}:`, error);
      start.disabled = false;
      status.textContent = "Não carregou. Confira a conexão e aperte de novo.";
    }
  }
  return { element, ask };
}

/** “Carregar o modelo (2,6 MB)”; `onReady(model)`. */
export function loadButton(name, onReady, label = "Carregar o modelo") {
  return askButton({
    label,
    url: new URL(`../modelos/${name}.bin`, import.meta.url),
    bring: async (onProgress) => (await import("./modelo.js")).load(name, { onProgress }),
    onReady,
  });
}

// ------------------------------------------------------------------ barras

/**
 * As probabilidades em barras: `draw([{text, p}])`, com `label` no lugar de `text` se há outro nome. Com `onPick(item, i)`, cada barra é um botão. A barra de
 * probabilidade 1 ocupa a largura toda; com `fit`, a maior ocupa.
 */
export function bars({ label, onPick, fit = true } = {}) {
  const element = h("ol", { class: "w-barras", "aria-label": label });
  function draw(items) {
    const top = fit ? Math.max(...items.map((item) => item.p), 1e-9) : 1;
    const focused = Array.from(element.children).findIndex((line) => line.contains(document.activeElement));
    element.replaceChildren(
      ...items.map((item, i) => {
        const parts = [
          h("span", { class: "w-barra-token" }, item.label ?? visible(item.text)),
          h("span", { class: "w-barra-trilho", "aria-hidden": "true" },
            h("span", { class: "w-barra-cheia", style: `width: ${(100 * item.p) / top}%` })),
          h("span", { class: "w-barra-valor" }, percent(item.p)),
        ];
        return h("li", null, onPick
          ? h("button", { type: "button", class: "w-barra", onclick: () => onPick(item, i) }, ...parts)
          : h("div", { class: "w-barra" }, ...parts));
      }),
    );
    if (onPick) element.children[focused]?.firstChild.focus();
  }
  return { element, draw };
}
