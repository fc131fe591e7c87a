"""The words that the conversations are made of, written by hand for this purpose."""

NAMES = """Alice Bob Carol David Emma Frank Grace Henry Iris Jack Karen Leo Maria Nina Oscar Paul Quinn Rosa Sam Tina Uma
Victor Wendy Xavier Yara Zoe Adam Bella Carlos Diana Ethan Fiona George Hannah Ivan Julia Kevin Laura Mark Nora
Olivia Peter Rachel Simon Teresa Ursula Vera Walter Yusuf Zara Anna Ben Clara Daniel Elena Felix Gina Hugo Ines
Jonas Kate Lucas Mia Noah Otto Petra Ravi Sofia Tom Viktor Wanda Amir Bruno Chloe Dmitri Eva Farid Greta Hassan
Ingrid Jorge Kenji Lena Mateo Nadia Omar Priya Ramon Sara Tariq Ulla Vikram Wei Yuki Anya Boris Cleo Dario Elsa
Fatima Gustav Hiro James John Mary Linda Robert Susan Michael Sarah Thomas Lisa Nancy Steven Emily Andrew Joshua
Amy Brian Edward Jane Alex Chris Pat Jordan Taylor Morgan Casey Jamie Robin Dana Kim Lee Max Ruby Ada Alan Linus
Guido Marie Isaac Albert""".split()

# country, capital
CAPITALS = [
    tuple(x.split(":"))
    for x in """France:Paris;Germany:Berlin;Italy:Rome;Spain:Madrid;Portugal:Lisbon;England:London;Ireland:Dublin;
Scotland:Edinburgh;Norway:Oslo;Sweden:Stockholm;Finland:Helsinki;Denmark:Copenhagen;Poland:Warsaw;
Austria:Vienna;Hungary:Budapest;Greece:Athens;Turkey:Ankara;Russia:Moscow;Ukraine:Kyiv;Netherlands:Amsterdam;
Belgium:Brussels;Switzerland:Bern;Japan:Tokyo;China:Beijing;India:New Delhi;South Korea:Seoul;Thailand:Bangkok;
Vietnam:Hanoi;Indonesia:Jakarta;Australia:Canberra;New Zealand:Wellington;Canada:Ottawa;Mexico:Mexico City;
Brazil:Brasilia;Argentina:Buenos Aires;Chile:Santiago;Peru:Lima;Colombia:Bogota;Cuba:Havana;Egypt:Cairo;
Kenya:Nairobi;Nigeria:Abuja;Morocco:Rabat;South Africa:Pretoria;Ghana:Accra;Iran:Tehran;Iraq:Baghdad;
Israel:Jerusalem;Nepal:Kathmandu;Iceland:Reykjavik;Croatia:Zagreb;Serbia:Belgrade;Romania:Bucharest;
Bulgaria:Sofia;Latvia:Riga;Estonia:Tallinn;the United States:Washington;the United Kingdom:London""".replace(
        "\n", ""
    ).split(";")
]

CITIES = (
    [c for _, c in CAPITALS]
    + """Boston Chicago Seattle Denver Austin Dallas Houston Miami Atlanta Phoenix Toronto Montreal Vancouver Barcelona
Valencia Seville Porto Lyon Nice Marseille Milan Naples Turin Venice Florence Munich Hamburg Cologne Frankfurt
Zurich Geneva Krakow Prague Leeds Manchester Glasgow Oxford Osaka Kyoto Shanghai Mumbai Sydney Melbourne Perth
Lagos Istanbul Dubai Singapore Manila Rotterdam Antwerp Ghent Bilbao Malaga Boulder Portland Detroit""".split()
    + ["New York", "Los Angeles", "San Francisco", "San Sebastian", "Hong Kong", "Tel Aviv"]
)

COLORS = "red blue green yellow orange purple pink brown black white gray gold silver violet turquoise".split()
ANIMALS = """cat dog fox owl bear wolf lion tiger rabbit mouse horse cow pig sheep goat duck frog turtle snake eagle robin
whale dolphin shark penguin otter beaver deer monkey panda koala zebra camel bee ant spider crow parrot hedgehog
squirrel""".split()
FRUITS = "apple banana cherry orange grape lemon mango pear peach plum kiwi melon strawberry pineapple fig".split()
VEGETABLES = (
    "carrot potato onion tomato cabbage spinach broccoli pepper cucumber lettuce pumpkin garlic pea bean".split()
)
SPORTS = "football tennis basketball swimming running cycling hockey golf rugby volleyball skiing boxing".split()
INSTRUMENTS = "piano guitar violin drum flute trumpet cello harp clarinet saxophone".split()
PLANETS = "Mercury Venus Earth Mars Jupiter Saturn Uranus Neptune".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()
LANGUAGES = "Python Java Rust Go Ruby Kotlin Swift Scala Haskell Lua".split()
JOBS = """teacher doctor baker pilot farmer nurse painter driver lawyer engineer writer chef gardener plumber
student singer dentist designer""".split()
FOODS = "pizza pasta soup bread rice cheese salad cake chocolate sushi curry pancakes noodles tacos honey".split()
PLACES = """forest village castle garden desert island mountain city valley harbor library lighthouse river meadow
cave station""".split()
OBJECTS = """lantern map key book clock mirror compass kite bell boat basket coat ladder hammer bottle ring letter box lamp
cup table chair phone camera bicycle umbrella blanket wallet ticket painting statue candle""".split()
VIRTUES = "kindness patience courage honesty curiosity friendship hope sharing listening practice".split()
ADJECTIVES = """small brave quiet clever lonely happy curious old young shy gentle tired proud lazy kind busy tiny bright funny
calm wise strong fast slow cheerful careful""".split()

OPPOSITES = [
    tuple(x.split(":"))
    for x in """hot:cold;big:small;fast:slow;happy:sad;day:night;up:down;left:right;open:closed;old:young;light:dark;hard:soft;
wet:dry;full:empty;early:late;rich:poor;strong:weak;high:low;long:short;good:bad;true:false;start:end;push:pull;
win:lose;buy:sell;loud:quiet;clean:dirty;thick:thin;near:far;first:last;yes:no;black:white;love:hate""".replace(
        "\n", ""
    ).split(";")
]

FACTS = [
    tuple(x.split("|"))
    for x in """the sky|blue;grass|green;snow|white;a banana|yellow;a ripe tomato|red;the sun|yellow;coal|black;
an orange|orange;a lemon|yellow;milk|white;a strawberry|red;the sea|blue;chocolate|brown;a carrot|orange;
blood|red;an emerald|green;a ruby|red;a flamingo|pink;a polar bear|white;a frog|green""".replace("\n", "").split(";")
]

QUIZ = [
    tuple(x.split("|"))
    for x in """How many days are in a week?|There are 7 days in a week.
How many months are in a year?|There are 12 months in a year.
How many hours are in a day?|There are 24 hours in a day.
How many minutes are in an hour?|There are 60 minutes in an hour.
How many seconds are in a minute?|There are 60 seconds in a minute.
How many legs does a spider have?|A spider has 8 legs.
How many legs does a dog have?|A dog has 4 legs.
How many wheels does a bicycle have?|A bicycle has 2 wheels.
How many letters are in the English alphabet?|There are 26 letters in the English alphabet.
How many planets are in the solar system?|There are 8 planets in the solar system.
How many continents are there?|There are 7 continents.
How many sides does a triangle have?|A triangle has 3 sides.
How many sides does a square have?|A square has 4 sides.
What is the largest planet?|The largest planet is Jupiter.
What is the closest star to Earth?|The closest star to Earth is the Sun.
What is H2O?|H2O is water.
What do bees make?|Bees make honey.
What do cows drink?|Cows drink water.
What is the boiling point of water?|Water boils at 100 degrees Celsius.
What is the freezing point of water?|Water freezes at 0 degrees Celsius.
Who wrote Hamlet?|William Shakespeare wrote Hamlet.
Who painted the Mona Lisa?|Leonardo da Vinci painted the Mona Lisa.
What is the largest ocean?|The largest ocean is the Pacific Ocean.
What is the longest river?|The Nile is often called the longest river.
What is the tallest mountain?|The tallest mountain is Mount Everest.
What color do you get from blue and yellow?|Blue and yellow make green.
What color do you get from red and yellow?|Red and yellow make orange.
What color do you get from red and blue?|Red and blue make purple.""".split("\n")
]

TRANSLATIONS = {  # English: (French, Spanish, German, Italian)
    "hello": ("bonjour", "hola", "hallo", "ciao"),
    "thank you": ("merci", "gracias", "danke", "grazie"),
    "cat": ("chat", "gato", "Katze", "gatto"),
    "dog": ("chien", "perro", "Hund", "cane"),
    "water": ("eau", "agua", "Wasser", "acqua"),
    "bread": ("pain", "pan", "Brot", "pane"),
    "house": ("maison", "casa", "Haus", "casa"),
    "friend": ("ami", "amigo", "Freund", "amico"),
    "sun": ("soleil", "sol", "Sonne", "sole"),
    "moon": ("lune", "luna", "Mond", "luna"),
    "book": ("livre", "libro", "Buch", "libro"),
    "good night": ("bonne nuit", "buenas noches", "gute Nacht", "buona notte"),
    "goodbye": ("au revoir", "adios", "auf Wiedersehen", "arrivederci"),
    "yes": ("oui", "si", "ja", "si"),
    "good morning": ("bonjour", "buenos dias", "guten Morgen", "buongiorno"),
    "milk": ("lait", "leche", "Milch", "latte"),
}
TONGUES = ("French", "Spanish", "German", "Italian")

JOKES = [
    "Why did the computer go to the doctor? Because it had a virus.",
    "Why did the bicycle fall over? Because it was two tired.",
    "What do you call a sleeping bull? A bulldozer.",
    "Why do bees have sticky hair? Because they use honeycombs.",
    "What has four wheels and flies? A garbage truck.",
    "Why was the math book sad? It had too many problems.",
]

# verbs / nouns / parameters for made-up function names
VERBS = """get set create delete update list find search send fetch read write open close start stop add remove check book
cancel order load save move copy count show track report schedule convert calculate lookup play pause lock
unlock enable disable print upload download archive rename assign query measure translate verify refund ship""".split()
NOUNS = """user account invoice order ticket customer product file folder report email message task event meeting reminder
playlist song movie recipe device light thermostat door camera alarm server database record log backup job queue
payment flight hotel room seat table package shipment route contact note document page image video profile
subscription budget price stock coupon review comment project issue branch sensor battery printer car bike train
weather forecast score team player course lesson exam""".split()
TOPICS = """quantum physics;the history of Rome;machine learning;black holes;the stock market;climate change;
how engines work;philosophy;the meaning of life;deep sea fish;chess openings;modern art;volcanoes;
the French revolution;photosynthesis;blockchain;database indexes;compilers;gardening tips;my tax return;
a business plan;cooking lobster;the theory of relativity;dinosaurs;ancient Egypt;jet engines;vaccines;inflation;
the human brain;space travel;opera;knitting;a marketing strategy;distributed systems;sorting algorithms;
nutrition;the immune system;electric cars;football tactics;wine tasting;the periodic table;genetics;Greek myths;
solar panels;cryptography;quantum entanglement;string theory;nuclear fusion;tax law;the economy;world war two;
Napoleon;Shakespeare;the Renaissance;calculus;linear algebra;neural networks;Kubernetes;Docker containers;
microservices;web development;mortgages;insurance;the solar eclipse;earthquakes;whales;yoga;jazz music;
photography;architecture;politics;democracy;the United Nations;religion;love;happiness;dreams;DNA;evolution;
gravity;electricity;magnets;batteries;the internet;social media;video games;robots;artificial intelligence;
time management;a good salary;my homework;a wedding speech;a healthy diet""".replace("\n", "").split(";")
TEXT_WORDS = """the quick brown fox jumps over a lazy dog we are here now blue sky green tea hello world test one two three
ready steady go nothing lasts forever keep it simple please think again open source rocks time flies like an
arrow water is wet birds sing in spring make some noise never stop learning trains run late at night small steps
count all is well that ends well winter is coming ping pong alpha beta gamma delta echo hotel tango zulu apple
pear cloud stone river light engine server token stream cache queue""".split()
COMMANDS = [
    "ls",
    "ls -la",
    "pwd",
    "whoami",
    "date",
    "git status",
    "uname -a",
    "df -h",
    "ps aux",
    "git log",
    "python --version",
    "make test",
    "echo hello",
]

SIGNS = "Aries Taurus Gemini Cancer Leo Virgo Libra Scorpio Sagittarius Capricorn Aquarius Pisces".split()
