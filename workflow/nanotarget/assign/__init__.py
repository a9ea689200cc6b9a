"""A petition for everyone: assignment under each policy, how sure it is, randomisation and fielding."""
