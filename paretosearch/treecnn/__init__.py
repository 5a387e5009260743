"""Classes that arrive in groups, learned by a tree of networks (Roy, Panda, Roy 2020, arXiv:1802.05800)."""
