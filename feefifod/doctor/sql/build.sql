SELECT build
