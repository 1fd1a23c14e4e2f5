# Os comandos do livro. O primeiro deles, num clone novo: make livro
PYTHON ?= python3
PY := .venv/bin/python
PORTA ?= 8000
# as conferências, a mais demorada primeiro: andam duas de cada vez, e uma que falha não esconde as outras
CONFERENCIAS := livro exemplos tipos docstrings ortografia estilo fluxos versao

.DEFAULT_GOAL := ajuda
.PHONY: ajuda livro pagina novo-capitulo postagem teste verificar servir limpar $(CONFERENCIAS:%=confere-%)

ajuda:
	@echo "make livro      constrói o livro e diz onde ele está"
	@echo "make pagina     depois do livro, constrói e serve uma página, e a recarrega a cada gravação: make pagina p=03"
	@echo "                (só constrói e sai: make pagina p=03 servir=nao)"
	@echo "make postagem   leva um post do diário para o Medium e o Dev.to: make postagem capitulo=02"
	@echo "make teste      roda todos os testes (constrói o site, se preciso)"
	@echo "make verificar  confere o que é rápido: pacote e notebooks iguais às páginas, prosa, ortografia, estilo, tipos, docstrings, doctests"
	@echo "make servir     abre um servidor local com o livro (PORTA=8000)"
	@echo 'make novo-capitulo titulo="…"   começa um capítulo, com testes e as entradas dele'
	@echo "make limpar     apaga _build e os restos de testes (o ambiente .venv fica)"

livro:
	@$(PYTHON) ferramentas/ambiente.py livro
	@$(PY) -m ferramentas.construir

pagina:
	@$(PYTHON) ferramentas/ambiente.py livro
ifneq ($(filter nao não,$(servir)),)
	@$(PY) -m ferramentas.construir --pagina "$(p)"
else
	@exec $(PY) -m ferramentas.servidor "$(p)" --porta $(PORTA)
endif

# o que se escreve na linha do make chega pelo ambiente: o título pode ter aspas
novo-capitulo:
	@$(PYTHON) ferramentas/ambiente.py livro
	@$(PY) -m ferramentas.novo_capitulo "$$titulo" "$$modulo"

postagem:
	@$(PYTHON) ferramentas/ambiente.py livro
	@$(PY) -m ferramentas.postagem "$(capitulo)"

teste:
	@$(PYTHON) ferramentas/ambiente.py teste
	@$(PY) -m ferramentas.construir --so-site
	@$(PY) -m pytest -n 2 --dist loadgroup --no-loadscope-reorder

verificar:
	@$(PYTHON) ferramentas/ambiente.py teste
	@$(MAKE) --no-print-directory -k -j 2 $(CONFERENCIAS:%=confere-%)
	@echo "Tudo em ordem."

confere-livro:
	@$(PY) -m ferramentas.construir --confere
confere-exemplos:
	@$(PY) -m pytest -q --doctest-modules homellm ferramentas data/fazer/*.py
confere-tipos:
	@$(PY) -m mypy
confere-docstrings:
	@$(PY) -m ferramentas.docstrings
confere-ortografia:
	@$(PY) -m ferramentas.ortografia
confere-estilo:
	@$(PY) -m ruff check .
confere-fluxos:
	@$(PY) -m ferramentas.fluxos
confere-versao:
	@$(PY) -m ferramentas.versao

servir:
	@test -x $(PY) || { echo "O site ainda não foi construído. Rode antes: make livro"; exit 1; }
	@exec $(PY) -m ferramentas.servidor --porta $(PORTA)

limpar:
	rm -rf _build dist .pytest_cache .hypothesis .ruff_cache .mypy_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

# ---- o que os fluxos do GitHub chamam; o que vem de fora chega por variáveis de ambiente
.PHONY: ci colab teste-pacote teste-wheel teste-mais-novo enderecos somas pacote zip
.PHONY: le-yaml previa limpa-previas publica confere-etiqueta publica-versao

ci:
	@bash .ci/run

teste-pacote:
	@$(PYTHON) ferramentas/testa_pacote.py

teste-wheel:
	@$(PYTHON) ferramentas/testa_wheel.py

teste-mais-novo:
	@$(PYTHON) ferramentas/testa_pacote.py --torch mais-novo

enderecos:
	@$(PYTHON) ferramentas/ambiente.py livro
	@$(PY) -m ferramentas.enderecos_de_fora

somas:
	@$(PYTHON) ferramentas/ambiente.py livro
	@$(PY) -m ferramentas.somas

pacote:
	@$(PYTHON) ferramentas/ambiente.py teste
	@rm -rf dist
	@$(PY) -m build --outdir dist
	@$(PY) -m twine check --strict dist/*

zip:
	@test -f _build/html/index.html || { echo "O site ainda não foi construído. Rode antes: make livro"; exit 1; }
	@cd _build && rm -f fazendo-um-llm-do-zero.zip && $(PYTHON) -m zipfile -c fazendo-um-llm-do-zero.zip html
	@echo "_build/fazendo-um-llm-do-zero.zip"

# O resto fala com o GitHub: gh entra com o GH_TOKEN, e o git usa a entrada do gh.
le-yaml:
	@$(PYTHON) -m pip install -q -c constraints.txt pyyaml

previa: le-yaml
	@gh auth setup-git
	@$(PYTHON) -m ferramentas.previa publica "$$PASTA" --sha "$$SHA"

limpa-previas: le-yaml
	@gh auth setup-git
	@$(PYTHON) -m ferramentas.previa limpa

publica: le-yaml
	@gh auth setup-git
	@$(PYTHON) -m ferramentas.ramo_do_site "$$PASTA"

confere-etiqueta: le-yaml
	@$(PYTHON) -m ferramentas.versao --etiqueta "$$ETIQUETA"

publica-versao: le-yaml
	@$(PYTHON) -m ferramentas.versao --notas > notas.md
	@gh release create "$$ETIQUETA" --verify-tag --title "$$ETIQUETA" --notes-file notas.md "$$PASTA"/*

colab:
	@$(PYTHON) ferramentas/ambiente.py teste
	@$(PY) -m ferramentas.ensaio_do_colab --torch 2.10.0
