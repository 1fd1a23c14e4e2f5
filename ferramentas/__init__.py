"""A maquinaria do livro: extrai o pacote dos capítulos, revisa as páginas, constrói o site e os notebooks."""
