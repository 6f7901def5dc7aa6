from cohost.provider.main import main

main()
