"""The cloud, a module a component: its simulated behaviour beside its real adapter."""
