"""The benchmark: godwit beside other tools and beside what the servers can do at best. See README.md."""
