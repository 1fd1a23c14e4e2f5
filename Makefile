# Os comandos do livro. O primeiro deles, num clone novo: make livro
PYTHON ?= python3
PY := .venv/bin/python
PORTA ?= 8000

.DEFAULT_GOAL := ajuda
.PHONY: ajuda livro teste verificar servir limpar

ajuda:
	@echo "make livro      constrói o livro e diz onde ele está"
	@echo "make teste      roda todos os testes (constrói o site, se preciso)"
	@echo "make verificar  confere o que é rápido: pacote e notebooks iguais aos capítulos, prosa, estilo, doctests"
	@echo "make servir     abre um servidor local com o livro (PORTA=8000)"
	@echo "make limpar     apaga _build e os restos de testes (o ambiente .venv fica)"

livro:
	@$(PYTHON) ferramentas/ambiente.py livro
	@$(PY) -m ferramentas.construir

teste:
	@$(PYTHON) ferramentas/ambiente.py teste
	@$(PY) -m ferramentas.construir --so-site
	@$(PY) -m pytest -n 2 --dist loadfile --no-loadscope-reorder

verificar:
	@$(PYTHON) ferramentas/ambiente.py teste
	@$(PY) -m ferramentas.tangle --check
	@$(PY) -m ferramentas.lint
	@$(PY) -m ferramentas.construir --confere-cadernos
	@$(PY) -m ruff check .
	@$(PY) -m pytest -q --doctest-modules homellm ferramentas data/fazer
	@echo "Tudo em ordem."

servir:
	@test -f _build/html/index.html || { echo "O site ainda não foi construído. Rode antes: make livro"; exit 1; }
	@echo "O livro está em http://localhost:$(PORTA)  (Ctrl-C encerra)"
	@$(PY) -m http.server $(PORTA) --bind 127.0.0.1 --directory _build/html

limpar:
	rm -rf _build dist .pytest_cache .hypothesis .ruff_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
