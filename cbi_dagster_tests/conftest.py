from hypothesis import settings

# No example has a deadline: on a busy machine the slowest of hundreds says nothing about the code.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
