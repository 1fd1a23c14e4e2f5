// Liga as figuras em que se mexe. Carregado com defer, e só nas páginas que têm alguma: importa o módulo de
// cada peça quando ela chega perto da tela, monta-a e esconde o que estava no lugar dela.
(() => {
  const here = document.currentScript.src;

  function titleOf(box) {
    const title = document.createElement("p");
    title.className = "widget-titulo";
    title.id = `${box.id || `widget-${box.dataset.widget}`}-titulo`;
    title.textContent = box.dataset.titulo;
    return title;
  }

  function reason() {
    return location.protocol === "file:"
      ? "Aberta direto do disco, esta figura não se mexe. Para mexer nela, rode make servir."
      : "A figura em que se mexe não abriu; esta é a parada. Recarregue a página para tentar de novo.";
  }

  async function bringToLife(box) {
    const title = titleOf(box);
    const live = document.createElement("div");
    live.className = "widget-vivo";
    try {
      const piece = await import(new URL(`pecas/${box.dataset.widget}.js`, here));
      box.prepend(title, live);
      box.setAttribute("role", "group");
      box.setAttribute("aria-labelledby", title.id);
      await piece.default(live, { title: box.dataset.titulo });
      box.dataset.estado = "viva";
    } catch (error) {
      console.warn(`widget ${box.dataset.widget}:`, error);
      title.remove();
      live.remove();
      box.dataset.estado = "parada";
      const sentence = document.createElement("p");
      sentence.className = "widget-falha";
      sentence.setAttribute("role", "status");
      sentence.textContent = reason();
      box.append(sentence);
    }
  }

  const boxes = document.querySelectorAll(".widget[data-widget]");
  const watcher = new IntersectionObserver(
    (entries) => {
      for (const { isIntersecting, target } of entries) {
        if (!isIntersecting) continue;
        watcher.unobserve(target);
        bringToLife(target);
      }
    },
    { rootMargin: "600px 0px" },
  );
  boxes.forEach((box) => watcher.observe(box));
})();
