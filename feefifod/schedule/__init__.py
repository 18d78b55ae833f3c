"""When scheduled work is due, which sessions exist, and the cheapest way to fetch them. Pure."""
