# What both programs need: species, profiles, Fortran's errors. No functions of libm: BusyBox may lack them.

function fail(text, status) { print text; failed = status; exit status }

# Fills names[1 … long], and by name: bound, ratio (0 where none is fixed), flux (0 where none is fixed).
function read_species(file,    line, word, words) {
  while ((getline line < file) > 0) {
    words = split(line, word)
    if (words < 2 || index(word[1], "*") || word[2] != "LL") continue
    if (words < 16) fail("Fortran runtime error: Bad real number in item 12 of list input", 2)
    names[++long] = word[1]
    bound[word[1]] = word[9]
    ratio[word[1]] = word[9] == 1 ? word[11] + 0 : 0
    flux[word[1]] = word[9] == 2 ? word[12] + 0 : 0
  }
  close(file)
}

function magnitude(number) { return number < 0 ? -number : number }

# A profile of 200 layers: blocks of 10 species a line, then 5 columns (temperature first), then 6.
function write_profile(file,    block, layer, k, name, value) {
  for (block = 0; block * 10 < long; block++) {
    for (layer = 0; layer < 200; layer++) {
      for (k = block * 10 + 1; k <= long && k <= block * 10 + 10; k++) {
        name = names[k]
        value = ratio[name] > 0 ? ratio[name] : 1e-12 / (1 + layer)
        printf "%s", name == "N" ? "   0.16879123-229" : sprintf("%17.8E", value) > file
      }
      print "" > file
    }
  }
  for (layer = 0; layer < 200; layer++)
    printf "%17.8E%17.8E%17.8E%17.8E%17.8E\n", 288 - layer / 2, 1e5, 2.5e19 / (1 + layer), 2e-8, 1e16 > file
  for (layer = 0; layer < 200; layer++)
    printf "%17.8E%17.8E%17.8E%17.8E%17.8E%17.8E\n", 0, 0, 1e-5, 0, 0, 1e-5 > file
  close(file)
}

# Fills before[name] with the lowest layer of a profile; answers whether it holds a NaN.
function read_profile(file,    line, number, k, nan) {
  while ((getline line < file) > 0) {
    if (line ~ /NaN/) nan = 1
    if (number % 200 == 0)
      for (k = 1; k <= 10 && number / 20 + k <= long; k++) before[names[number / 20 + k]] = substr(line, 17 * k - 16, 17) + 0
    number++
  }
  close(file)
  if (number < 200 * long / 10) fail("Fortran runtime error: End of file", 2)
  return nan
}
