"""The fixtures of the suites, by module; everything else about a run is the plugin's."""

pytest_plugins = [
    "fixtures.session",
    "fixtures.migrations",
    "fixtures.nodes",
    "fixtures.strangers",
    "fixtures.services",
]
