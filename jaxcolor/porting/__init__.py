"""Published weights of other frameworks -> variables of our networks, one module a network."""
