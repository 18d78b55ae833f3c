"""What tests share: servers, fakes, builders."""
