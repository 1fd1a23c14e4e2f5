// A busca no navegador: radicais sem acento, como no índice, e trechos tirados do artigo (ferramentas/interface.py).
var semAcento = (texto) => [...texto.normalize("NFC")].map((c) => c.normalize("NFD")[0]).join("").toLowerCase();
var Stemmer = function () {
  var radical = new PortugueseStemmer();
  this.stemWord = (palavra) => radical.stemWord(semAcento(palavra).replace(/oes$/, "ao"));
};
if (typeof Search !== "undefined") {
  Search.makeSearchSummary = (pagina, termos, ancora) => {
    const separada = pagina.replace(/<\/(p|dt|dd|li|td|th|h[1-6]|pre|div)>/g, " $&");
    const documento = new DOMParser().parseFromString(separada, "text/html");
    const artigo = documento.querySelector("article.bd-article") || documento.body;
    const secao = (ancora && artigo.querySelector(ancora)) || artigo;
    secao.querySelectorAll("script, style, .headerlink, .preparo-do-colab, h1").forEach((e) => e.remove());
    const texto = secao.textContent.normalize("NFC").replace(/\s+/g, " ").trim();
    const simples = semAcento(texto);
    const achados = [...termos].map((t) => simples.indexOf(semAcento(t))).filter((i) => i > -1);
    let inicio = Math.max((achados.length ? Math.min(...achados) : 0) - 100, 0);
    if (inicio > 0) inicio = texto.indexOf(" ", inicio) + 1;
    const trecho = document.createElement("p");
    trecho.classList.add("context");
    const fim = inicio + 240;
    trecho.textContent =
      (inicio > 0 ? "… " : "") + texto.slice(inicio, fim).trim() + (fim < texto.length ? " …" : "");
    return texto ? trecho : null;
  };
  Documentation.addTranslations({
    locale: "pt-BR",
    messages: {
      "Search finished, found ${resultCount} page(s) matching the search query.": "Páginas encontradas: ${resultCount}.",
      "Your search did not match any documents. Please make sure that all words are spelled correctly and that you've selected enough categories.": "Nenhuma página tem essas palavras.",
    },
    plural_expr: "(n > 1)",
  });
}
