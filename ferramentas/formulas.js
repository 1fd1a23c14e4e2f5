// Copiar: no lugar de cada fórmula vai o LaTeX dela, entre cifrões. Uma fórmula pega pela metade vai inteira.
document.addEventListener("copy", (evento) => {
  const selecao = getSelection();
  if (selecao.isCollapsed || !selecao.rangeCount) return;
  const trecho = selecao.getRangeAt(0).cloneRange();
  const formulaDe = (no) => (no.nodeType === Node.ELEMENT_NODE ? no : no.parentElement).closest("math");
  const primeira = formulaDe(trecho.startContainer);
  const ultima = formulaDe(trecho.endContainer);
  if (primeira) trecho.setStartBefore(primeira);
  if (ultima) trecho.setEndAfter(ultima);
  const caixa = document.createElement("div");
  caixa.append(trecho.cloneContents());
  const formulas = caixa.querySelectorAll("math");
  if (!formulas.length) return;
  for (const formula of formulas) {
    const cifrao = formula.getAttribute("display") === "block" ? "$$" : "$";
    const continua = formula.classList.contains("segue") && formula !== formulas[0];
    const abre = continua ? "\0" : cifrao; // a marca some abaixo, com o cifrão que fechou a parte anterior
    formula.replaceWith(abre + formula.querySelector("annotation").textContent + cifrao);
  }
  caixa.querySelectorAll(".headerlink").forEach((sinal) => sinal.remove());
  caixa.style.cssText = "position: fixed; left: -9999px";
  document.body.append(caixa); // só o que está na página tem `innerText`, com as quebras de linha
  const emenda = (texto) => texto.replace(/\$+(\s*(?:<[^>]*>)*)\0/g, "$1");
  evento.clipboardData.setData("text/plain", emenda(caixa.innerText));
  evento.clipboardData.setData("text/html", emenda(caixa.innerHTML));
  caixa.remove();
  evento.preventDefault();
});
