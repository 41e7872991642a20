"""What a config must keep beyond types, by its sections: references between names, addresses, weights; pure."""
