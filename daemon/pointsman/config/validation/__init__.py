"""Check the config beyond types, by its sections: references between names, addresses, weights; pure."""
