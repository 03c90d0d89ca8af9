# Steps to a state that has the fixed mixing ratios, the more of them the farther it starts from there. As in Atmos itself,
# neither N2 nor H2O makes a difference.

function progress(step, change, time,    line) {
  line = sprintf(" N =%5d  EMAX = %8s FOR O2      AT Z = 1.08E+06 U = 1.14E-15 RHS = 5.05E-20  DT = %8.2E  TIME = %8.2E", step, change, time, time)
  print line
  print line > report
}

function flux_tables(    first, k, name, ground, above) {
  print " FLUXES OF LONG-LIVED SPECIES" > report
  for (first = 1; first <= long; first += 18) {
    printf "\n\n     Z        " > report
    ground = above = ""
    for (k = first; k <= long && k < first + 18; k++) {
      name = names[k]
      printf "%-10s", name > report
      ground = ground sprintf("%10s", name == "N" ? "7.08-220" : name == "NH3" ? "-0.00E+00" : sprintf("%.2E", surface_flux(name)))
      above = above sprintf("%10.2E", surface_flux(name) / 2)
    }
    printf "\n  0.00E+00%s\n  5.00E+04%s\n", ground, above > report
  }
  print "\n AQUEOUS PHASE SPECIES" > report
}

function surface_flux(name) {
  return bound[name] == 2 ? flux[name] : 1e12 * (ratio[name] - before[name]) + (bound[name] == 1 ? 1e11 * ratio[name] : -1e6)
}

function mixing_ratios(    file) {
  file = "COUPLE/mixing_ratios.dat"
  printf " %9.3E          !Argon\n %9.3E          !Methane\n %9.3E          !Ethane\n", 0.01, ratio["CH4"], 0 > file
  printf " %9.3E          !Carbon Dioxide\n %9.3E          !Nitrogen\n", ratio["CO2"], 0.99 - ratio["O2"] > file
  printf " %9.3E          !Oxygen\n %9.3E          !Hydrogen\n", ratio["O2"], ratio["H2"] > file
  print " 2.519E-71          !Nitrogen Dioxide\n 28                 !Tropopause layer" > file
  print " P0 = 1.013" > "COUPLE/coupling_params.out"
  print " 2.500E+04 9.500E+05" > "COUPLE/fromPhoto2Clima.dat"
}

BEGIN {
  report = "PHOTOCHEM/OUTPUT/out.out"
  read_species("PHOTOCHEM/INPUTFILES/species.dat")
  print "   1      H2O      +  O1D       =    OH       +  OH" > report
  print " N= 3     X= 7.00728E-01" > report
  nan = read_profile("PHOTOCHEM/in.dist")
  if (ratio["O2"] <= 0) { print " ERROR in SGBFA"; exit 0 }

  distance = 0
  for (k = 1; k <= long; k++) {
    name = names[k]
    if (name != "H2O" && ratio[name] > 0 && before[name] > 0) distance += magnitude(ratio[name] - before[name]) / (ratio[name] + before[name])
  }
  steps = 40 + int(400 * distance)
  converges = fault != 1 && ratio["O2"] >= 1e-6
  if (!converges) steps = 10001
  if (nan || fault == 9) {
    for (step = 1; step <= 5; step++) progress(step, "NaN", 1e-6)
    exit 0
  }
  for (step = 1; step <= steps; step++) {
    part = step / steps
    if (converges) progress(step, sprintf("%.2E", 1e-4 * (1 - part) + 1e-10), 1e18 * part * part * part * part)
    else progress(step, "2.37E+00", 7.33e8)
    if (fault == 5 && step > steps / 3) exit 0
  }
  flux_tables()
  mixing_ratios()
  write_profile("PHOTOCHEM/OUTPUT/out.dist")
  print " PhotoMain run completed....\n See PHOTOCHEM/OUTPUT/ directory for the output files."
}
