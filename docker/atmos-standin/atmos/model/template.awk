# Writes the profile of a cold start.
BEGIN {
  read_species(earth "/species.dat")
  write_profile(earth "/in.dist")
}
