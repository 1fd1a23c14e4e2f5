// O botão “Citar”: abre o diálogo da página, copia, e põe a data de hoje no lugar de [data do acesso].
(() => {
  const MESES = ["jan.", "fev.", "mar.", "abr.", "maio", "jun.", "jul.", "ago.", "set.", "out.", "nov.", "dez."];
  const hoje = new Date();
  const acesso = `${hoje.getDate()} ${MESES[hoje.getMonth()]} ${hoje.getFullYear()}`;

  function datar(bloco) {
    const textos = document.createTreeWalker(bloco, NodeFilter.SHOW_TEXT);
    while (textos.nextNode()) {
      textos.currentNode.data = textos.currentNode.data.replace("[data do acesso]", acesso);
    }
  }

  async function copiar(bloco) {
    try {
      const formas = { "text/plain": new Blob([bloco.textContent], { type: "text/plain" }) };
      if (bloco.querySelector("strong, em")) formas["text/html"] = new Blob([bloco.innerHTML], { type: "text/html" });
      await navigator.clipboard.write([new ClipboardItem(formas)]);
    } catch {
      // sem permissão, ou fora de https: o caminho antigo, que copia o que está selecionado
      getSelection().selectAllChildren(bloco);
      if (!document.execCommand("copy")) return false;
    }
    return true;
  }

  function prepara() {
    document.querySelectorAll(".citacao, #dialogo-citar pre").forEach(datar);
    const dialogo = document.getElementById("dialogo-citar");
    const botao = document.querySelector(".btn-citar-button");
    if (!dialogo?.showModal || !botao) return;
    const recado = dialogo.querySelector("[role=status]");
    botao.setAttribute("role", "button");
    botao.setAttribute("aria-haspopup", "dialog");
    botao.removeAttribute("target");
    const abre = (evento) => {
      evento.preventDefault();
      recado.textContent = "";
      dialogo.querySelectorAll(".citar-copia").forEach((copia) => (copia.textContent = "Copiar"));
      dialogo.showModal(); // quem abre e quem fecha com Esc é o navegador, que também devolve o foco
    };
    botao.addEventListener("click", abre);
    botao.addEventListener("keydown", (evento) => evento.key === " " && abre(evento));
    dialogo.addEventListener("click", async (evento) => {
      if (evento.target === dialogo) dialogo.close(); // fora da caixa
      const copia = evento.target.closest?.(".citar-copia");
      if (!copia) return;
      const deu = await copiar(document.getElementById(copia.dataset.copia));
      copia.textContent = deu ? "Copiado" : "Copiar";
      recado.textContent = deu ? "Copiado." : "Não deu para copiar; o texto está selecionado.";
    });
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", prepara);
  else prepara();
})();
