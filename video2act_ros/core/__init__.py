"""The shared vocabulary of every part: types, configuration, errors, newest-wins slot."""
