// Quantos parâmetros tem um GPT, e onde: a fórmula do capítulo 4, com controles. As contas são as de
// homellm.model (num_params, flops_per_token), e os erros, os de GPTConfig.
import { announcer, br, choices, h, slider } from "../comum.js";

export const PRESETS = {
  mini: { V: 2048, T: 64, C: 64, H: 2, L: 2 },
  "contos-mini": { V: 4096, T: 256, C: 160, H: 5, L: 6 },
  t4: { V: 16384, T: 512, C: 512, H: 8, L: 8 },
  "gpt2-small": { V: 50257, T: 1024, C: 768, H: 12, L: 12 },
  "gpt2-medium": { V: 50257, T: 1024, C: 1024, H: 16, L: 24 },
  "gpt2-large": { V: 50257, T: 1024, C: 1280, H: 20, L: 36 },
  "gpt2-xl": { V: 50257, T: 1024, C: 1600, H: 25, L: 48 },
};

/** Os parâmetros de cada parte, e o total. */
export function countParameters({ V, T, C, L, tied = true }) {
  const parts = {
    tokens: V * C,
    positions: T * C,
    attention: L * (4 * C * C + 4 * C),
    mlp: L * (8 * C * C + 5 * C),
    norms: L * 4 * C + 2 * C,
    head: tied ? 0 : V * C,
  };
  return { ...parts, total: Object.values(parts).reduce((a, b) => a + b) };
}

/** FLOPs por token da ida, com o contexto cheio. */
export const flopsPerToken = ({ V, T, C, L }) => 2 * (12 * L * C * C + V * C) + 4 * L * T * C;

/** O que GPTConfig recusaria, na mesma frase; "" se aceita. */
export const problem = ({ C, H }) => (C % H ? `emb_dim=${C} não se divide em n_heads=${H} cabeças iguais` : "");

// ------------------------------------------------------------------ na página

const V_STOPS = [256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 50257, 65536, 131072];
const T_STOPS = [64, 128, 256, 512, 1024, 2048, 4096];
const PARTS = [
  ["tokens", "tabela de tokens"], ["positions", "tabela de posições"], ["attention", "atenção"], ["mlp", "MLP"],
  ["norms", "normalizações"], ["head", "matriz de saída"],
];

/** 2.552.320 → "2,6 milhões de"; 34.000 → "34,0 mil". */
function words(n) {
  const [unit, name] = n >= 1e9 ? [1e9, "bilhões de"] : n >= 1e6 ? [1e6, "milhões de"] : [1e3, "mil"];
  return `${br(n / unit, 1)} ${n / unit < 1.95 ? name.replace("ões", "ão") : name}`;
}

const bytes = (n) => (n >= 1e9 ? `${br(n / 1e9, 1)} GB` : `${br(n / 1e6, 1)} MB`);

export default function mount(box) {
  const first = PRESETS["contos-mini"];
  let tied = true;
  const stops = (label, list, value) =>
    slider({
      label, min: 0, max: list.length - 1, step: 1, value: list.indexOf(value), format: (i) => br(list[i]), onInput: show,
    });
  const plain = (label, min, max, step, value) => slider({ label, min, max, step, value, onInput: show });
  const controls = {
    C: plain("C, o tamanho do vetor (emb_dim)", 32, 1600, 32, first.C),
    H: plain("H, as cabeças (n_heads)", 1, 32, 1, first.H),
    L: plain("L, os blocos (n_layers)", 1, 48, 1, first.L),
    V: stops("V, o vocabulário (vocab_size)", V_STOPS, first.V),
    T: stops("T, o contexto (context_length)", T_STOPS, first.T),
  };
  const preset = h("select", {
    id: "w-parametros-preset", class: "w-curto",
    onchange: () => {
      const { V, T, ...plainOnes } = PRESETS[preset.value];
      controls.V.value = V_STOPS.indexOf(V);
      controls.T.value = T_STOPS.indexOf(T);
      for (const [letter, value] of Object.entries(plainOnes)) controls[letter].value = value;
      show();
    },
  }, h("option", { value: "", disabled: true }, "outro"), ...Object.keys(PRESETS).map((name) => h("option", { value: name }, name)));
  const tying = choices("Matriz de saída", [{ value: true, label: "a da entrada" }, { value: false, label: "outra" }], tied,
    (value) => {
      tied = value;
      show();
    });
  const total = h("p", { class: "w-total" });
  const strip = h("div", { class: "w-partes", "aria-hidden": true });
  const rows = h("tbody");
  const formula = h("p", { class: "w-nota" });
  const speech = announcer({ hidden: false });

  const read = () => ({
    C: controls.C.value, H: controls.H.value, L: controls.L.value,
    V: V_STOPS[controls.V.value], T: T_STOPS[controls.T.value], tied,
  });

  function show() {
    const config = read();
    const { V, T, C, H, L } = config;
    const same = Object.entries(PRESETS).find(([, p]) => Object.entries(p).every(([letter, n]) => config[letter] === n));
    preset.value = same ? same[0] : "";
    const wrong = problem(config);
    const counts = countParameters(config);
    const share = (n) => br((100 * n) / counts.total, 1);
    total.textContent = `${br(counts.total)} parâmetros`;
    strip.replaceChildren(...PARTS.map(([part]) =>
      h("span", { class: `w-parte-${part}`, style: `flex-grow: ${counts[part] / counts.total}` })));
    rows.replaceChildren(...PARTS.map(([part, label]) =>
      h("tr", null,
        h("th", { scope: "row", class: "w-parte" }, h("span", { class: `w-amostra w-parte-${part}`, "aria-hidden": true }), label),
        h("td", null, br(counts[part])), h("td", null, share(counts[part])))));
    formula.textContent =
      `(${br(V)} + ${br(T)}) × ${br(C)} + ${br(L)} × (12 × ${br(C)}² + 13 × ${br(C)}) + 2 × ${br(C)}` +
      `${tied ? "" : ` + ${br(V)} × ${br(C)}`} = ${br(counts.total)}`;
    speech.say(wrong
      ? `${wrong}: o GPTConfig recusa. Ache um H que divida ${br(C)}; o total não muda com H.`
      : `${words(counts.total)} parâmetros, em cabeças de ${br(C / H)} números: ${bytes(2 * counts.total)} em bf16, ` +
        `${bytes(4 * counts.total)} em fp32, ${bytes(16 * counts.total)} para treinar em fp32, e ` +
        `${words(flopsPerToken(config))} FLOPs por token com o contexto cheio.`);
    speech.element.classList.toggle("w-erro", Boolean(wrong));
  }

  const head = ["parte", "quantos", "%"].map((name) => h("th", { scope: "col" }, name));
  box.append(
    h("div", { class: "w-linha" },
      h("div", { class: "w-escolhas" }, h("label", { class: "w-rotulo", for: preset.id }, "Preset"), preset), tying.element),
    h("div", { class: "w-controles" }, ...Object.values(controls).map(({ element }) => element)),
    total, strip,
    h("table", { class: "w-tabela" }, h("thead", null, h("tr", null, ...head)), rows),
    formula, speech.element,
  );
  show();
}
