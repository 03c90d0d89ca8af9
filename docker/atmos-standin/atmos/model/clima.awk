# Relaxes the surface from the temperature that it starts with to the one that the gases ask for.

function read_switches(file,    line, word) {
  while ((getline line < file) > 0) {
    split(line, word)
    if (word[1] ~ /^[A-Z0-9]+=$/) { sub("=", "", word[1]); value[word[1]] = word[2] + 0 }
  }
  close(file)
}

# The temperature of the last line, the ground.
function read_ground(file,    line, lines, word, temperature) {
  while ((getline line < file) > 0) {
    if (line ~ /NaN/) fail("Program received signal SIGFPE: Floating-point exception\nBacktrace for this error:", 136)
    lines++
    split(line, word)
    temperature = word[1]
  }
  close(file)
  if (lines < 101) fail("Fortran runtime error: End of file\nError termination. Backtrace:", 2)
  return temperature + 0
}

function read_gases(file,    line, word) {
  while ((getline line < file) > 0) {
    split(line, word)
    gas[substr(word[2], 2)] = word[1] + 0
  }
  close(file)
}

function heading() {
  print "  J     P         ALT         T        CONVEC       DT          TOLD        FH20" > report
}

function table(temperature, change,    layer, height) {
  heading()
  for (layer = 1; layer <= 101; layer++) {
    height = 0.7 * (101 - layer)
    printf "%3d %10.4E %10.4E %10.4E  %8.2E  %11.4E  %10.4E  %10.4E\n", layer, pressure / (1 + height / 8), height, \
      temperature - 1.8 * height, (layer > 74), change, temperature - 1.8 * height, 1e-2 / (1 + height) > report
  }
  heading()
}

BEGIN {
  report = "CLIMA/IO/clima_allout.tab"
  read_switches("CLIMA/IO/input_clima.dat")
  read_gases("COUPLE/mixing_ratios.dat")
  temperature = value["IUP"] ? value["TG0"] : read_ground("CLIMA/IO/TempIn.dat")
  pressure = 1.013 + 0.017 * temperature / 288.15
  methane = value["IMET"] ? gas["Methane"] : 0
  goal = 287 + 60 * gas["Carbon"] / (gas["Carbon"] + 0.02) + 40 * methane / (methane + 0.01) + 900 * gas["Hydrogen"] - 20 * (gas["Oxygen"] - 0.21)
  print " Solar Constant= 1.000" > report
  for (step = 1; step <= value["NSTEPS"]; step++) {
    change = (goal - temperature) * 0.05
    temperature += change
    if (fault == 12 && step > value["NSTEPS"] / 2) exit 0
    printf " NST=%6d JCONV= 74 CHG=%8.2E dt0=1.00E+04 DIVF(1)=%9.2E DIVFrms=%9.2E DT(ND)=%9.2E T(ND)=%10.4E\n", \
      step, magnitude(change), change / 10, magnitude(change), change, temperature > report
    print " Surface temperature=   " temperature
    if (step == 1 || step == value["NSTEPS"]) table(temperature, change)
  }
  for (layer = 1; layer <= 101; layer++)
    printf "   %16.12f       %22.15E\n", temperature - 1.26 * (101 - layer), 1.2e-2 / (102 - layer) > "CLIMA/IO/TempOut.dat"
  print " output photo"
}
