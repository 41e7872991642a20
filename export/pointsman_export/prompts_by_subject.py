"""More prompts as users type them, by subject; written for this project, Apache-2.0 like the rest of it.

Each subject's laymen, students and professionals ask here, and `other` has what only sounds like a subject.
A slot {this|that|another} holds its own choices; a line that ends in a backslash goes on in the next one.
"""

BY_SUBJECT = {
    "biology": """
        why do {cats|owls|sharks|moths|bees|dolphins} {sleep so much|see in the dark|never stop swimming|fly into \
            lamps|dance for each other|follow boats}
        how do {salmon|sea turtles|pigeons|monarch butterflies|eels} find their way back
        what is the difference between {mitosis and meiosis|a gene and an allele|DNA and RNA|prokaryotes and \
            eukaryotes|arteries and veins of a leaf|a moth and a butterfly}
        what does {the Golgi apparatus|a ribosome|the nucleolus|a chloroplast|the spliceosome|a lysosome} do
        my {pcr|western blot|gibson assembly|qPCR|transformation} gives {no bands|smears|weird double \
            bands|nothing but background}, what should i try
        which {antibody|primer|vector|cell line|restriction enzyme} would you use to {tag a membrane protein|knock \
            out a gene in HeLa cells|clone a 6 kb insert}
        how do i normalise {RNA-seq counts|16S amplicon reads|single cell data|proteomics intensities} between \
            {batches|tissues|time points}
        how do {plants|fungi|lichens|mosses|seaweeds} {breathe|reproduce|survive winter|get nitrogen|defend \
            themselves}
        why did {dinosaurs|mammoths|dodos|trilobites|giant sloths} die out and {crocodiles|sharks|ferns|beetles} \
            did not
        how long does {a fruit fly|an oak|a blue whale|a jellyfish|a queen ant} live and why
        punnett square for {two carriers of cystic fibrosis|a tall heterozygous pea with a short one|a colour \
            blind father and carrier mother|AB and O blood}
        is {a virus|a sponge|a coral|a mushroom|seaweed} an animal, a plant or what
        what eats {jellyfish|wasps|hedgehogs|ticks|algae} and what happens if it disappears
        how can i estimate {population size|species richness|home range|survival} from {camera traps|mark \
            recapture|transects|eDNA samples}
        how did {eyes|feathers|flowers|lungs|wings|sex} evolve
        what {bird|beetle|spider|mushroom|fern|snake} is this: {brown with a white stripe|black with red \
            spots|about 4 cm and shiny} found in {Kent|Ohio|Tuscany|my garden}
        explain {natural selection|the krebs cycle|osmosis|transcription|photosynthesis|homeostasis} for my \
            {biology exam|9th grade homework|lab report}
        what is the role of {auxin|calcium|cyclic AMP|p53|insulin receptor|chlorophyll b} in {plant growth|cell \
            signalling|the cell cycle}
        which {medium|temperature|shaker speed} to grow {E. coli BL21|yeast|Chlamydomonas|Bacillus subtilis|insect \
            cells}
        are {humans|bonobos|wolves|octopuses|crows} still evolving, and how would we know
        why are {flamingos pink|tree frogs sticky|zebras striped|leaves green|some eggs blue|flowers scented}
        how does {a gecko stick to a wall|a venus flytrap close|a spider make silk|a chameleon change colour|a \
            snake swallow a goat|an axolotl regrow legs}
        what is {epigenetics|a keystone species|symbiosis|apoptosis|horizontal gene transfer|genetic drift|a stem \
            cell}
        what happens in a {cell|leaf|seed|neuron|muscle fibre} when {it runs out of ATP|it dries out|the membrane \
            depolarises|it gets too cold}
        how do i annotate {a bacterial genome|a new plant transcriptome|a mitochondrial genome} and {build a \
            tree|find orthologs|call SNPs} from it
        how do biologists tell {two cryptic species|male from female newts|old from young whales|a wolf from a \
            husky by DNA} apart
        why do {birds sing at dawn|bears hibernate|lemmings migrate|cicadas come every 17 years|wolves howl}
        what would happen if all {bees|mosquitoes|fungi|bacteria|sharks|earthworms} vanished
        how does {the immune system of insects|a plant root|the kidney of a desert rat|a fish gill|a bird lung} \
            work
        what hormones make {a caterpillar pupate|a fruit ripen|a tadpole become a frog|a seed germinate}
        label the parts of {an animal cell|a flower|a bacterium|a fish heart|a mitochondrion} and say what each \
            does
        how many {chromosomes|bones|hearts|eyes|stomachs} does {a dog|a shark|an octopus|a spider|a cow} have
        can {two blue eyed parents have a brown eyed child|a mule have babies|a liger breed|bananas grow from \
            seeds|identical twins differ in DNA}
        why do some {mushrooms glow|plants eat insects|lizards drop the tail|fish change sex|trees grow in salt \
            water}
        describe the life cycle of {a fern|plasmodium|a liver fluke|a mayfly|yeast}
        whats the powerhouse of the cell again and why do they call it that
        how come my tomato seedlings bend to the window
        do fish feel pain
        why do dogs sniff each other
        can trees talk to each other through roots
        is a tomato a fruit in botany
        why cant we breathe under water but fish can
        there's a nest of something like wasps but hairy in my shed wall, what species could it be and are they \
            solitary?
        I found a tiny skull on the beach with a long beak, how can I find out which bird it was from?
        My daughter asks why we have belly buttons and chickens don't. What do I tell her?
        Please explain me how the genes decide the colour of the eyes, my teacher talks too fast
        we're seeing 40% mitochondrial reads in our snRNA-seq, is the prep bad or should i just filter
        I work on zebrafish and my morphants are all dead at 24 hpf. Toxicity or phenotype?
        off target effects of cas9, how do people check
        how do enzymes lower activation energy in a cell
        what is a codon
        whats the difference between innate and learned behaviour in animals
        hardy weinberg problem: 9% of a population shows the recessive trait, how many are carriers
        how do you count bacteria with a serial dilution
        why does a virus need a host cell
        how do ants know which way the food is
        how do whales hold their breath so long
        where do mushrooms come from overnight after rain
        what makes blood red in us and blue in crabs
        how does the sodium potassium pump work
        what's the smallest living thing
        why are there no giant insects any more
        why do we share so much dna with bananas
        is the appendix useless in evolution terms
        which adaptation lets camels go without water
        how are clones like dolly made
        trophic levels in a pond, with examples
        how can invasive crayfish be removed from a stream without harming natives
        what does a limiting nutrient do to an algal bloom
        how do antibodies get so many shapes from so few genes
        what is the difference between C3 and C4 plants
        how do i prepare onion skin for the microscope
        how do seeds know which way is up
        what's a good alternative to Sanger for verifying 300 plasmids
        where in the cell is protein folded and what if it misfolds
        do plants have feelings or something like nerves
        how does a baby bird breathe inside the egg
        why is inbreeding bad for a population of cheetahs
        does junk DNA do anything
    """,
    "business": """
        which {required return|multiple|growth rate} is sensible when valuing a {regional cinema chain|family \
            restaurant|dental practice|logistics firm}
        how do i book {a deferred tax asset|accrued vacation|a customer prepayment|goodwill impairment|a finance \
            lease} under {IFRS|US GAAP}
        how do I tell {an underperforming employee|my best salesman|a long time supplier|a client} that {we're \
            cutting the budget|his contract won't be renewed|prices go up}
        what's a normal {gross margin|inventory turnover|conversion rate|customer acquisition cost} for {an online \
            shoe shop|a craft brewery|a b2b software company|a hardware store}
        i run a small {bakery|landscaping company|nail studio|web agency|garage} and {cash is always tight|two \
            people quit|nobody answers my ads}, what should i do first
        should i {lease or buy|finance|depreciate over 5 years} {a delivery van|a new oven|the office printers|a \
            forklift}
        how do we {onboard remote hires|set sales quotas|run performance reviews|cut meeting time|handle a pay \
            gap} in a company of {12|80|400} people
        write a {marketing plan|go to market strategy|pricing page outline|customer survey|job ad} for {a meal kit \
            service|a B2B payroll tool|a yoga studio|a used car dealer}
        what is the difference between {a balance sheet and an income statement|markup and margin|FIFO and \
            LIFO|EBIT and EBITDA|a VP and a director|B2B and B2C}
        calculate the {break even point|payback period|NPV|contribution margin} if fixed costs are \
            {4,000|25,000|120,000} a month and each unit earns {3|12|45} dollars
        how do i read {a cash flow statement|a 10-K|a trial balance|an aged receivables report}
        which {CRM|accounting package|inventory system|payroll provider} fits {a five person shop|a nonprofit|a \
            growing wholesaler}
        is buying {a duplex|a small office building|a laundromat|a parking lot} at a {6|8|4.5}% cap rate a good \
            investment
        explain {the BCG matrix|Porter's five forces|the balanced scorecard|just in time|six sigma|OKRs} with an \
            example from {retail|banking|an airline}
        how do I {negotiate better terms with|pick|replace|audit} a supplier in {China|Poland|Vietnam|Mexico}
        my boss wants a {SWOT|budget forecast|stakeholder map|risk register|churn analysis} by friday, how do i \
            build one
        what should i ask in an interview for a {warehouse manager|junior accountant|head of marketing|store \
            clerk}
        how much should a freelance {copywriter|illustrator|translator|consultant} charge per {hour|day|project}
        how do I raise {seed money|a bridge round|a bank loan|venture debt} for {a medtech startup|a coffee \
            roastery|a fintech app}
        what does {vesting|a liquidation preference|dilution|a convertible note|a cap table} mean for me as a \
            {first employee|founder|small investor}
        how do i lower {the bounce rate on our landing page|employee turnover|the cost per lead|our days sales \
            outstanding|stock outs before christmas}
        journal entry for {bad debt write off|buying equipment on credit|owner drawing money|sales tax \
            collected|prepaid rent}
        how do i put a value on {a brand|my late uncle's shop|a patent portfolio|a customer list} before selling
        what {KPIs|reports|incentives} work for {a call centre|a sales team|a hotel front desk|a fulfilment \
            warehouse}
        case study: {Kodak|Nokia|IKEA|Blockbuster|Zara|Toyota}'s {strategy|supply chain|biggest mistake}
        how do i get {more reviews|repeat customers|my first ten clients|local press} for my {plumbing \
            business|candle shop|tutoring service|bike rental}
        what is {transfer pricing|a sinking fund|working capital|a letter of credit|hedging|an amortization \
            schedule} in plain english
        how do i rebalance a portfolio of {60% stocks and 40% bonds|three index funds|mostly tech shares} when \
            {rates rise|I retire in 5 years}
        what's the best way to {structure commissions for|motivate|train} {car salesmen|insurance agents|retail \
            staff}
        how do i compute {WACC|the beta of a private company|the internal rate of return|free cash flow|the \
            current ratio}
        two of my {team leads|partners|department heads} {won't talk to each other|both want the \
            promotion|disagree on priorities}, how do i manage this
        how does a {holding company|franchise|cooperative|REIT|hedge fund} make money
        draft {a change management plan|a mission statement|an agenda for the board meeting|a reply to a \
            complaining customer about late delivery} for our {software rollout|merger|new branch}
        what are the tax pros and cons of {a sole trader|a limited company|a partnership} for {a wedding \
            photographer|a one man consultancy}
        what rent should i ask for {a two bedroom flat|a shop of 90 square metres|a storage unit} and how do i \
            work out the yield
        whats the diff between profit and cash flow
        my etsy shop gets visits but no sales
        how do i ask my manager for a raise without sounding greedy
        is dropshipping still profitable
        should i put my savings into an index fund or pay off the car loan
        how do mortgages work and what does 30 year fixed mean
        how to do a cold call
        We have 9% annual churn, ARR of 3.2m and net retention of 104%. Is that good enough for a series B?
        My co-founder does half the work and owns half of the shares. How do other startups fix this?
        I inherited 40k and have never invested in anything. Where does a complete beginner start?
        Our plant closes the books on day 9 every month and the auditors complain. How can we get to a day 4 \
            close?
        We're a charity with about 200 donors, most give once and never again. How do we keep them?
        I am HR in a mid size company and need to write a policy about working from home, what points should be \
            inside?
        how do i set up a payroll for 3 people
        why does a company buy back its own stock
        what is brand positioning
        what is the difference between leadership and management
        how do credit scores get calculated
        how to write a good email subject line for a newsletter campaign
        how to price a house for a quick sale
        what does an actuary do
        how does an etf work
        can someone explain double entry bookkeeping, debits and credits confuse me
        why is cash on the debit side
        which costs are sunk when we stop the product line
        what is a good span of control
        how do i deal with a toxic coworker as a team lead
        how do supermarkets decide where products go on the shelf
        should i accept equity or a higher salary
        what are the four Ps of marketing
        how do airlines overbook and still make money
        how do I forecast sales for a product that doesn't exist yet
        a company issues a 5 year bond with a 6% coupon at 97, what is the yield to maturity
        how to split the bill with a business partner who invested more
        what is the role of the audit committee
        how do i calculate the economic order quantity
        what do you need to become a real estate agent
        what's a good email to chase an unpaid invoice
        our warehouse picks 60 lines an hour, competitors claim 120. where would you look first
        would love some help, i want to start a candle business from home but have no idea about pricing
        is a MBA worth it for someone in sales
        how do I make a budget for a trade fair
        how do i run a fair layoff and keep morale
        what is corporate social responsibility good for
    """,
    "chemistry": """
        which {catalyst|ligand|base|solvent} would you use for a {Negishi coupling of a vinyl iodide|Buchwald \
            amination of a chloropyridine|Heck reaction on gram scale|Sonogashira with a free phenol}
        what's a mild way to {oxidise a primary alcohol to the aldehyde|deprotect a Boc group|reduce an ester next \
            to a ketone|make an acid chloride|remove a TBS ether}
        balance {Fe + O2 -> Fe2O3|KMnO4 + HCl -> KCl + MnCl2 + H2O + Cl2|P4 + Cl2 -> PCl5|Al + CuSO4 -> \
            Al2(SO4)3 + Cu}
        how many grams of {NaCl|glucose|KOH|copper sulfate} for {250 ml of a 0.5 M|2 litres of a 0.1 M|50 ml of a \
            3 M} solution
        what is the pH of {0.01 M HCl|0.2 M acetic acid|a 0.05 M ammonia solution|a 1:1 acetate buffer}
        what's the difference between {ionic and covalent bonds|an isotope and an ion|molarity and molality|an \
            element and a compound|SN1 and SN2|enantiomers and diastereomers}
        why does {bread soda fizz with vinegar|copper turn green|silver tarnish|milk of magnesia calm acid|candle \
            wax burn|superglue set so quickly}
        how does {bleach|dish soap|a battery|a catalytic converter|a hand warmer|sunscreen|baking powder} work \
            chemically
        is it dangerous to mix {bleach and vinegar|drain cleaner and acid|peroxide and acetone|two toilet \
            cleaners}, what gas comes out
        draw the {Lewis structure|hybridisation|resonance forms} of {ozone|nitrate|SO2|benzene|carbon monoxide}
        what is the oxidation number of {sulfur in H2SO4|chromium in dichromate|nitrogen in ammonia|iron in FeO}
        my {column|recrystallisation|TLC|distillation} {streaks|will not separate the two spots|gives an oil|loses \
            half the product}, any tricks
        how do I interpret a {1H NMR with a broad singlet at 5.2 ppm|mass spec with M+2 peak|IR band at 1715 \
            cm-1|doublet of quartets}
        what colour is the flame of {lithium|strontium|copper|potassium|barium} and why
        how do I titrate {vinegar|an antacid tablet|hard water|vitamin C} and which indicator do I pick
        name this compound: {CH3CH2COOCH3|CH3CH(OH)CH3|Na2S2O3|[Co(NH3)6]Cl3|C6H5NH2}
        which HPLC {column|mobile phase|detector} for {caffeine and theobromine|organic acids in wine|a very polar \
            amine}
        how does temperature change {the rate of a reaction|the solubility of a gas|an equilibrium constant|vapour \
            pressure}
        predict the product of {2-bromobutane with NaOEt|benzene with Br2 and FeBr3|acetone with \
            LiAlH4|cyclopentadiene with maleic anhydride}
        how would a chemist {find lead in paint|make biodiesel from frying oil|get gold out of circuit boards|dry \
            THF|store butyl lithium}
        explain {Le Chatelier's principle|Hess's law|electronegativity|hydrogen bonding|VSEPR|the common ion \
            effect} for {a high school student|my mock exam}
        what is {a ligand|a free radical|an azeotrope|a polymer|activation energy|a chiral centre|aromaticity|a \
            colloid}
        why is {fluorine so reactive|gold so inert|mercury liquid|diamond harder than graphite|ice lighter than \
            water|helium not flammable}
        limiting reagent: {5 g of H2 and 40 g of O2|10 g Al and 30 g Cl2|12 g CaCO3 with 0.1 mol HCl}, what is the \
            yield
        how do i calculate the {enthalpy|Gibbs energy|Ksp|rate constant|cell potential} from {this table|three \
            experiments|standard values}
        cheap {reducing agent|drying agent|oxidant|acid scavenger} that is safe for {an undergraduate lab|a 20 \
            litre reactor}
        how is {aspirin|nylon|ammonia|aluminium|PVC|margarine|sulfuric acid} made in industry
        how many {electrons|valence electrons|neutrons|isomers} does {carbon-14|chlorine|phosphorus|pentane|iron} \
            have
        how do I get rid of {palladium traces in my product|DMF after the work up|triphenylphosphine oxide|an \
            emulsion in the sep funnel}
        does {vinegar|salt water|lemon juice|cola} really {dissolve limescale|rust a nail faster|clean copper|eat \
            a tooth}
        which functional groups are in {vanillin|paracetamol|nylon 6,6|a soap molecule|cholesterol}
        what determines the {boiling point|melting point|colour|smell|viscosity} of {an organic liquid|a metal \
            complex|a salt}
        electron configuration of {iron|Cu+|selenium|Cr3+|bromide} please
        how do fireworks get {the blue|the green|the red} colour
        science fair: growing crystals from {alum|sugar|borax|copper sulfate}, how do i get them big
        what's the role of the {salt bridge in a galvanic cell|phase transfer catalyst|internal standard in \
            GC|Lewis acid in Friedel-Crafts}
        which MOF or zeolite adsorbs {CO2|water|methane} best at {room temperature|low pressure}
        whats avogadros number for
        why do atoms bond at all
        why cant you put sodium in water
        is water wet or what does the chemistry say
        how do i know if a reaction is exothermic
        what are the noble gases and why are they noble
        whats the strongest acid there is
        why does my hair dye need peroxide, what does it do to the pigment molecules
        My pool test strip says pH 8.2 and the chlorine doesn't seem to work. Why does the pH matter for \
            hypochlorous acid?
        I left a penny in cola for a week and it came out shiny. What reaction took place?
        Please could you check my stoichiometry? 2.4 g Mg burns and I get 4.0 g MgO.
        I am making a Grignard from 4-bromoanisole and it won't start, tried iodine and heat. Other ideas?
        our ICP-MS shows arsenic too high in chloride rich samples, is it ArCl interference
        how to make the copper ammonia complex and why is it so blue
        ring opening polymerisation of lactide, which tin free initiators exist
        what is the bond angle in methane
        does sugar conduct electricity in water, my teacher says no
        how is smell of fish removed by lemon, is it acid base
        why does an old book smell like vanilla, which compounds
        how many moles in 36 g of water
        convert 25 ppm of calcium to mmol/L
        ideal gas problem, 2 mol at 300 K in 10 L find pressure
        what is the shape of SF6
        how to separate sand, salt and iron filings
        why is the iodine clock reaction suddenly black
        How does chromatography separate ink colours on filter paper?
        what is the difference between an alkane and an alkene and how do you test it with bromine water
        what is green chemistry and atom economy
        which elements are liquid at room temperature
        why do transition metals have many oxidation states
        what is a buffer's capacity and how do i pick the pKa
        half life of a first order reaction with k = 0.03 per minute
        how do i assign R and S
        what are quantum numbers for the 3d electrons
        is it possible to turn lead into gold chemically
        why does hot water dissolve more sugar
        what is in stainless steel that prevents rust, chemically
        how does carbon monoxide bind to iron
        retrosynthesis of ibuprofen from isobutylbenzene
        what is cyclic voltammetry telling me when the peaks are 120 mV apart
        explain crystal field splitting with octahedral complexes
        how can i make a good ph indicator out of red cabbage
    """,
    "computer science": """
        what is the difference between {== and ===|let and var|git pull and git fetch|a docker image and a \
            container|a mutex and a semaphore|a set and a list|UDP and QUIC|CPU and GPU} {for a beginner|in practice}
        how do i {drop rows with NaN|group by month|merge two dataframes on two columns|pivot a table|read only \
            some columns of a csv} in pandas
        SettingWithCopyWarning {again|when I assign a column|inside a function}, what do i do
        write a sql query for {the top 3 orders per customer|users without any login|running totals by \
            day|duplicate emails|second highest salary}
        how do I {undo the last commit|squash five commits|recover a deleted branch|remove a big file from \
            history|cherry pick} {in git|without losing my work}
        docker {container exits right away|build cannot find the file|compose service can't reach postgres|image \
            is 4 GB}, how do i fix it
        why does {0.1 + 0.2 not equal 0.3|my loop skip the last element|[] == false give true|my recursion blow \
            the stack|the useEffect run twice}
        how does {DNSSEC|a load balancer|NAT|TLS handshake|a hash table|virtual memory|a B-tree index|garbage \
            collection} work
        what subnet mask for {60|200|500} hosts and how do I split {10.0.0.0/8|192.168.1.0/24}
        my {neural net|random forest|xgboost model|transformer} {overfits|has nan loss|predicts one class only|is \
            slow at inference}, what to try
        what {learning rate|batch size|loss|metric} for {an imbalanced classification|fine tuning BERT|image \
            segmentation}
        how do i {make a website|learn to code|center a div|host a discord bot|build a phone app} {as a total \
            beginner|for free}
        explain {big O|backpropagation|OAuth|CAP theorem|REST|attention in transformers|virtual DOM|public key \
            cryptography} {like I'm new to this|briefly}
        time complexity of {nested loops over half the array|mergesort|inserting in a heap|naive fibonacci}
        ssh says {permission denied publickey|connection refused|host key changed} when I {connect to my VPS|push \
            to github}
        how do i {kill a process on port 3000|find big files|schedule a script every night|grep recursively} on \
            {linux|mac|windows}
        is {Rust|Go|Python|Kotlin|TypeScript} worth learning in my {first job|forties}
        my wifi {shows connected but no internet|drops every hour}, is it the router's DNS or DHCP
        convert this {for loop to a list comprehension|callback code to promises|xml to json|regex to something \
            readable}
        regex for {a UK postcode|an ISO date|an ip address|text between brackets}
        kubernetes pod in {CrashLoopBackOff|Pending|ImagePullBackOff} for hours
        how does {a compiler|a chess engine|a search engine|a password hash|face recognition} work under the hood
        what data structure for {autocomplete|an undo function|a leaderboard|a job scheduler}
        segfault only in release build, valgrind clean
        excel vba macro loops over all sheets but is very slow
        my teacher wants a flowchart and pseudocode for a vending machine program
        what's a race condition, my code sometimes prints 1999 instead of 2000
        const [a, setA] = useState(0) and a is stale in my interval
        pip says externally managed environment, what now
        Our postgres query does a seq scan although there's an index on created_at. What could be the reason?
        I copied a program from a friend and it says 'str' object is not callable. I never did any coding before.
        how to deploy a flask app with gunicorn behind nginx please
        how do hackers get into accounts and how does two factor stop it
        what is an API in simple words
        my class project: elevator simulation in java, how should i split the classes
    """,
    "economics": """
        what happens to {house prices|the exchange rate|unemployment|exports|bond yields|wages} when {the central \
            bank raises rates|the government borrows more|oil doubles in price|a tariff of 20% comes in|population \
            shrinks}
        how would you identify the causal effect of {a minimum wage rise|immigration|a sugar tax|school \
            vouchers|broadband} on {employment|local wages|obesity|test scores|firm entry}
        diff in diff with {staggered adoption|two treated regions|no clean control group}, which estimator
        why is {bread|rent|petrol|health care|a football ticket|everything} so much more expensive than {ten years \
            ago|in the country next door|before covid}
        who really pays {a tariff|a payroll tax|a tax on landlords|VAT|a carbon tax}, consumers or producers
        what is {price elasticity|deadweight loss|moral hazard|a public good|stagflation|the Phillips \
            curve|consumer surplus|a liquidity trap}
        explain {Keynesian economics|the Laffer curve|comparative advantage|the multiplier|the Gini index|the \
            money supply} for {a beginner|my econ 101 midterm|a 14 year old}
        what are the arguments for and against {rent control|free trade|a universal basic income|the gold \
            standard|a wealth tax|student debt relief}
        why can't a country just {print more money|set all prices by law|ban imports|pay everybody more}
        draw the supply and demand graph for {avocados after a frost|masks in a pandemic|petrol with a price \
            ceiling|labour with a wage floor}
        if demand is {Q = 100 - 2P|Q = 80 - P|P = 50 - 0.5Q} and supply is {Q = 3P|Q = 20 + P|P = 10 + Q}, what is \
            the equilibrium
        how do {auctions|cartels|two sided platforms|price wars|patents} work according to {game theory|industrial \
            organization theory}
        what is the nash equilibrium if {two petrol stations set prices|two firms choose quantities|three \
            countries fish the same sea}
        why did {Argentina|Turkey|Zimbabwe|Venezuela|Sri Lanka} get such high inflation
        how do {China|Germany|Norway|Singapore}'s trade surpluses affect the world economy
        how does {an ageing population|remote work|automation|a housing shortage|brexit} affect \
            {productivity|growth|public pensions|inequality}
        what's the difference between {nominal and real GDP|fiscal and monetary policy|a recession and a \
            depression|monopoly and oligopoly|M1 and M2|CPI and PCE}
        how is {GDP|unemployment|inflation|poverty|purchasing power parity} measured and what's wrong with it
        which instrument could i use for {schooling|trade openness|class size|police numbers} in a {wage \
            regression|growth regression|crime equation}
        does {trickle down|austerity|import substitution|microcredit|foreign aid} work, what does the evidence say
        why do {rich countries|the EU|the US|poor countries} {subsidise farmers|run deficits|keep a strong \
            currency|trade with each other}
        what would {Adam Smith|Hayek|Marx|Friedman|Keynes|Minsky} say about {bitcoin|big tech monopolies|bank \
            bailouts|the gig economy}
        calculate {the real interest rate|the GDP deflator|the MPC|the cross price elasticity|the Herfindahl \
            index} from {these numbers|the table below}
        is {inflation of 2%|a weak currency|public debt of 120% of GDP|deflation|a trade deficit} actually bad
        what does the yield curve {inverting|steepening} tell us about {a recession|inflation expectations}
        how do banks create money and what role {do reserves|does the central bank|does lending} play
        why are {diamonds dearer than water|women paid less on average|nurses paid less than footballers|cinemas \
            charging students less|taxis dearer in the rain}
        is a {monopoly|minimum price|quota|subsidy|merger of two supermarkets} ever good for consumers
        what does a DSGE model with {sticky prices|heterogeneous agents|a zero lower bound} say about {forward \
            guidance|stimulus cheques}
        short run and long run effects of {a tax cut|a supply shock|quantitative tightening|a devaluation} in the \
            {AD-AS|IS-LM|Solow} model
        how should a city {price road congestion|tax empty homes|auction taxi licences} so it's efficient
        how do economists {value a park|value a life|estimate the shadow economy|forecast a downturn|test market \
            power}
        what {externalities|incentives|transaction costs|asymmetric information} are there in {used car \
            markets|health insurance|fisheries|ride hailing}
        why do wages not fall in a {recession|small town with one employer|boom}
        how did the {2008 crash|oil shock|eurozone crisis|asian crisis} spread through {banks|trade|credit \
            markets}
        what is the marginal {cost|revenue|utility|product of labour} when {TC = 50 + 4Q + Q^2|P = 30 - 2Q|U = \
            x^0.5 y^0.5|Y = K^0.3 L^0.7}
        why does the price of eggs jump around so much
        is money just a shared belief or backed by something
        why do we need a stock market in an economy
        what would happen if all debts in the world were cancelled
        whats a recession and are we in one
        why is the yen so weak atm
        how does the fed decide on rates
        how can unemployment be low and people still feel poor
        do immigrants lower wages or is that a myth
        my landlord says rents rise because of interest rates. Is there anything true in it, economically?
        I earn 5% more than last year but can afford less. Is that inflation and how do I work out my real wage?
        My professor says indifference curves can't cross and I don't see why. Could you show me?
        Could you please explain why a strong euro is bad for exporters?
        In my country the government fixes the price of rice and now there is no rice in the shops, why it \
            happens?
        estimating a gravity model with lots of zero trade flows, PPML or tobit
        how do you deal with weak instruments, first stage F is 6
        logit demand vs BLP, when does the IIA assumption really hurt
        what are synthetic controls and how many donors do i need
        what is ricardian equivalence and does it hold in data
        does raising the minimum wage cause teenagers to lose jobs
        what are the four types of unemployment
        why do some countries stay poor
        what is the tragedy of the commons
        why do people still buy when the price goes up, veblen goods?
        what are normal and inferior goods with examples
        what's the difference between a movement along the demand curve and a shift
        opportunity cost of going to college, give an example
        what does the IMF do when a country is bankrupt
        explain how OPEC keeps the oil price up
        is capitalism or a planned economy better at innovation
        what makes a currency a reserve currency
        what would a land value tax do to house building
        why does a bond price fall when market interest rates rise across the economy
        what is the natural rate of unemployment now
        how does perfect competition drive profits to zero
        what are economies of scale and when do they turn into diseconomies
        how big is the informal sector in Nigeria
        why do minimum prices for milk create surplus
        does trade with china make the US richer
        what's a good example of price discrimination
        how do you compare living standards between 1950 and now
        why did shrinkflation become common
        how do sanctions hurt an economy
    """,
    "engineering": """
        what's best practice for {dowel bars at a movement joint|lap splices in a shear wall|crack control in a \
            basement wall|punching shear at a column}
        how do i size {a duct for 800 cfm|a chilled water pump|an expansion tank|a return grille|a condensing \
            boiler} for {a small office|a school gym|a server room}
        which bearing for a shaft at {12,000|300|1500} rpm with {heavy axial load|shock loads|misalignment}
        how do i stop {a control valve from hunting|integral windup|a servo from oscillating|overshoot in my \
            temperature loop}
        what gain and phase margin should i aim for in {a buck converter|a flight controller|a motor drive|a \
            cascaded level loop}
        my {buck converter|class D amp|stepper driver|bldc controller} gets {too hot|noisy at light load|unstable \
            when i plug in the motor}, what do i check
        how do i route {a differential pair|the ground plane under an ADC|a crystal|DDR lines|a switch node} on a \
            {two|four} layer board
        which {microcontroller|level shifter|MOSFET|LDO|current sensor} for a {battery powered sensor|12 V fan \
            controller|e-bike throttle}
        why does my {STM32|ESP32|arduino nano|PIC} reset when the {relay|motor|pump} switches on
        how do i calculate the {deflection|bending moment|shear|buckling load} of {a cantilever|a simply supported \
            beam|a fixed column|a steel lintel} with {a point load at the end|a uniform load of 5 kN/m}
        what factor of safety is usual for {a lifting lug|a retaining wall against sliding|a pressure vessel|wing \
            spars|a scaffold}
        which weld {symbol|process|filler} for {304 stainless to mild steel|thin aluminium|a bracket under fatigue \
            load}
        what tolerance {should i put on|can i expect for} {a press fit|a laser cut part|an H7 bore|an injection \
            moulded boss}
        how do i design {a distillation column for ethanol and water|a packed absorber|a CSTR|a shell and tube \
            exchanger}, step by step
        how many theoretical plates for separating {benzene and toluene|methanol and water} at a reflux ratio of \
            {2|3.5}
        what NPSH do i need for {a hot condensate pump|a slurry pump|a vertical turbine pump} and how do i stop \
            cavitation
        how does {swept wing|winglets|the angle of attack|a canard} affect {drag|stall|stability} of {a glider|a \
            jet trainer|an rc plane}
        how much thrust do i need for a {2 kg drone|model rocket|flying wing of 900 g} and which {motor and \
            prop|engine} fits
        which pipe {diameter|schedule|material} for {steam at 6 bar|compressed air for a workshop|drain water over \
            30 m|sea water}
        how much rebar goes into {a garage slab|a strip footing|a swimming pool wall|a 3 m retaining wall}
        can i {cut a hole in|take out|notch} {this joist|a load bearing wall|a roof truss|a steel beam} without \
            making the house unsafe
        how do engineers {test soil before building|stop a bridge from swaying|make skyscrapers survive \
            earthquakes|tunnel under a river|check old dams}
        what is the difference between {yield and ultimate strength|a rivet and a bolt|a rectifier and an \
            inverter|single phase and three phase|a MOSFET and a BJT|stress and strain}
        how does {a differential|a turbofan|a heat recovery ventilator|a lithium battery management system|a \
            gfci|a hydraulic ram} actually work
        draw the {free body diagram|bode plot|root locus|ladder logic|block diagram} for {a crane arm|G(s) = \
            10/(s(s+2))|a conveyor with two sensors|a DC motor}
        find the transfer function of {an RLC circuit|a mass spring damper|a two tank system|an RC low pass}
        choose a {low pass filter|sampling rate|window|decimation factor} for {an accelerometer at 1 kHz|an ECG \
            front end|audio at 48 kHz}
        what {aggregate|water cement ratio|slump|curing time} for {a cold weather pour|a driveway|pumped \
            concrete|a marine pier}
        how do I read {a P&ID|a single line diagram|GD&T on a drawing|a psychrometric chart|a pump curve|a boring \
            log}
        which standard applies to {crane hooks|low voltage switchgear|fire dampers|steel connections|medical \
            device enclosures} in {Europe|the UK|the US}
        my {heat pump|rooftop unit|mini split|furnace} {short cycles|ices up|trips the breaker|never reaches \
            setpoint} at {-5 C|40 F|full load}
        how do i size {a breaker|a cable|a capacitor bank|a ups|a transformer} for {a 15 kW motor|an EV charger|a \
            welding shop}
        how to reduce {harmonics from VFDs|EMI from a flyback|chatter when milling titanium|backlash in a \
            gearbox|hammer in a steam line}
        when should i use {ball screws or belts|steel or aluminium|FEM or hand calculation|hydraulics or \
            pneumatics} for {a gantry robot|a lifting table|a light frame}
        why do {ships have bulbs on the bow|planes have winglets|trains have conical wheels|cars have crumple \
            zones}
        how do you make a {crane|bridge out of spaghetti|paper tower|go kart frame} {stronger|lighter|stiffer} for \
            a school project
        why did {the Tacoma bridge|the Comet airliner|the Hyatt walkway|the Challenger booster} fail from an \
            engineering view
        i2c bus hangs after a few hours, sda stuck low, 4.7k pullups and 40 cm cable
        how do i read a quadrature encoder with an interrupt on a microcontroller
        debounce a push button in hardware
        is M8 8.8 enough for 12 kN in shear
        what torque for a M10 bolt in aluminium
        my breadboard circuit works but the pcb doesnt
        why does concrete crack and can you stop it
        how thick a steel plate do i need to hold 500 kg over 1 m span
        We have a 40 year old steel footbridge with pitting at the bearings. How would you assess the remaining \
            fatigue life?
        I'm an HVAC tech and the superheat reads 2 degrees with a fixed orifice. Overcharge or low airflow?
        Could you kindly help me to choose the gear module for a reducer 1:5, input 3 kW and 1450 rpm?
        our cnc lathe leaves a taper of 0.04 mm over 100 mm, is it the tailstock
        i need to convert 230v 50hz machine to run in usa, what do i need
        The clay under our new extension is shrinking and the wall has a diagonal crack. Underpin with mini piles \
            or resin injection?
        what's the difference between PI and PID and when is the D bad
        what is a Kalman filter used for in a drone
        how do you linearise a system around an operating point
        Explain Nyquist stability criterion for someone who knows Bode plots
        how do planes stay up if one engine dies
        reynolds number for water in a 50 mm pipe at 2 m/s and is it turbulent
        how do i pick the Kv of a brushless motor
        how do i estimate head loss in 200 m of pipe with six elbows
        how is prestressed concrete made and why is it better
        does a longer lever arm need a bigger bolt
        how many solar panels and which charge controller for a cabin fridge
        is it safe to run two power supplies in parallel
        what does the q factor of a resonant tank mean in practice
        explain the thermal design of a heatsink for 20 W
        what's the purpose of a flyback diode
        which 3d print orientation is strongest for a hook
        how deep must a footing go below frost line
        how do i keep a sewer pump station from clogging
        what does an FMEA for a braking system look like
        how to simulate airflow around a car in CFD, which turbulence model
        scale up from a 5 litre to a 5 m3 stirred reactor, keep tip speed or power per volume
        how are car engines cooled when standing in traffic
        why do power lines hum
        how do elevators not fall when the rope breaks
        hi, can a 5V relay be driven straight off a gpio pin?
        which satellite attitude control is cheapest for a cubesat
        what heat treatment should 4140 get for a splined shaft
        how do i measure vibration on a gearbox and find the bad bearing from the spectrum
    """,
    "health": """
        is it safe to {take ibuprofen|drink a beer|dye my hair|fly|eat sushi} {while pregnant|after surgery|with \
            antibiotics|while breastfeeding}
        how long does {weed|a hangover|nicotine|caffeine|MDMA|alcohol} stay in your {body|urine|blood}
        what happens to the body when you {quit smoking|stop drinking|take too much paracetamol|skip breakfast|mix \
            coke and alcohol|come off antidepressants}
        my {baby|toddler|5 year old|teenager} {won't eat vegetables|has a barking cough|swallowed a coin|has a \
            fever of 39.5|keeps wetting the bed|got nits}, what should i do
        how many {calories|grams of protein|glasses of water|hours of sleep} does a {60 year old \
            woman|runner|growing boy|person trying to lose weight} need
        is {keto|oat milk|fasting for two days|a vegan diet|cheese before bed|creatine|diet cola} {bad for \
            you|good for weight loss|ok for kids}
        i have had {a sore tongue|tingling fingers|a swollen gland|itchy feet|a metallic taste|white spots in my \
            throat} for {three days|two weeks|a month}, should i see a doctor
        what's a normal {resting heart rate|blood sugar|temperature|oxygen level|ferritin} for {a child|an \
            adult|someone over 70}
        first aid for {a burn|a snake bite|choking|a nosebleed|a seizure|heat stroke}
        can you catch {herpes from a glass|flu twice|norovirus from a toilet|HIV by kissing|chickenpox from \
            shingles}
        how do i {get rid of a stye|sleep with a blocked nose|help my wife through morning sickness|put on \
            weight|come down from a bad trip|talk to my gp about drinking}
        side effects of {ozempic|the coil|propranolol|fluoxetine|the measles vaccine|steroids at the gym}
        first line treatment for {community acquired pneumonia|gestational diabetes|status epilepticus|C. \
            diff|cluster headache} in {adults|a patient with penicillin allergy}
        nursing care plan for {a pressure ulcer|COPD|a post op hip|dehydration in the elderly}
        how do you interpret {a raised troponin|ST depression|a d-dimer of 900|low TSH|a bulging disc on MRI}
        what does a {virus|retrovirus|spike protein mutation} do to get into {human cells|the lungs} and how do \
            vaccines stop it
        what are the signs of {an overdose|a mini stroke|vitamin B12 deficiency|postnatal \
            depression|sepsis|lactose intolerance}
        is my {mole|poo|period|heartbeat|urine} normal if it's {dark|irregular|late|green}
        what should {diabetics|people with gout|my dad after a stent|someone with IBS} {eat|avoid}
        cramps in calf at night why
        feet always cold even in summer
        how much vodka is too much in a week
        im shaking after two days without a drink
        does cranberry juice really help with a uti
        what is the rice method for a sprained ankle
        can i give calpol and nurofen together to a 3 year old
        My mum is 82, falls a lot and takes nine different pills. Could it be the tablets?
        My stomach hurts always after milk and pasta, what tests should I ask the doctor for?
        70 kg patient on heparin, aPTT 38, how to adjust the infusion
        how do i lose belly fat without a gym
        why are my eyes yellow
        is snus safer than smoking
        how do sunburns heal faster
        dose of adrenaline in anaphylaxis for a 20 kg child
        which foods are high in iron for vegetarians
        how contagious is hand foot and mouth in a nursery
    """,
    "history": """
        why did {the Carolingian empire|the Ming dynasty|the Hittites|the Maya cities|the Habsburg empire|the \
            Soviet Union} collapse, really
        what was daily life like for {a peasant|a blacksmith|a merchant's wife|a monk|a child} in {medieval \
            England|Edo Japan|ancient Egypt|Tsarist Russia}
        how did people in {the 1300s|Victorian London|ancient Rome|colonial America} {keep warm|deal with \
            sewage|bury their dead|send letters|clean their teeth}
        who was {Genghis Khan|Hannibal|Eleanor of Aquitaine|Saladin|Toussaint Louverture|Bismarck|Empress Wu} and \
            why does he or she matter
        i have an essay on {the Treaty of Versailles|the Peasants' Revolt|the Weimar republic|the New Deal|the \
            Opium wars} due tomorrow, what are the main points
        was {Richard III|Nero|Marie Antoinette|Ivan the Terrible|Cromwell} really as bad as people say
        what would a historian say caused {the first world war|the Rwandan genocide|the Haitian revolution|the \
            partition of India|the Spanish civil war}
        what primary sources exist for {the Viking settlement of Greenland|everyday life in Pompeii|the Black \
            Death in Italy|the Mali empire}
        how old might a {coin hoard|Roman brooch|manuscript fragment|clay tablet|painting} be if it came in \
            without papers, where do i start
        as a museum curator, how do i establish the provenance of {a Benin bronze|an Attic vase|a Qing scroll|a \
            medieval reliquary}
        my grandfather fought {at Monte Cassino|in Korea|in the Burma campaign|at Stalingrad}, what happened there
        what happened at the battle of {Hastings|Waterloo|Gettysburg|Lepanto|Agincourt|Cannae|the Somme}
        why did {Hitler|Napoleon|Charles XII} invade Russia when everybody could see the winter coming
        how did {Britain|Portugal|Spain|the Dutch republic|Belgium} end up with such a big colonial empire
        when did {women in Switzerland|black Americans in the South|women in Saudi Arabia|working men in Britain} \
            get the vote
        how did the {slave trade|fur trade|spice trade|salt trade} shape {west Africa|Canada|Europe|the Caribbean}
        compare the {French and Russian|American and Haitian|English and French} revolutions
        what led to the fall of {the Berlin wall|the Bastille|Saigon|Granada|Tenochtitlan}
        is it true that {Vikings wore horned helmets|medieval people drank beer because water was dirty|Einstein \
            failed at school|Columbus thought he was in India}
        how reliable is {Herodotus|Tacitus|Bede|Froissart|Suetonius|Sima Qian} as a source
        who ruled {Poland|Bulgaria|Ethiopia|Korea|Persia|Hungary} in the {10th|13th|17th} century
        how did {gunpowder|the printing press|the stirrup|the railway|the telegraph} change history
        explain the {Suez crisis|Bay of Pigs|Prague spring|Watergate scandal|Dreyfus affair} like i'm 12
        what were the consequences of {the Congress of Vienna|the Edict of Nantes|the Magna Carta|the Yalta \
            conference|the Balfour declaration}
        which historians disagree about {the origins of the cold war|the causes of the English civil war|the \
            atomic bombing of Japan}, and how
        what did {Roman soldiers|samurai|pirates|crusaders|Napoleon's troops} actually eat on campaign
        how long did it take to travel from {London to York|Rome to Antioch|Paris to Moscow} in {1200|1500|1750|AD \
            100}
        timeline of {the Tudor dynasty|the Meiji era|the Irish famine|the Indian independence movement|the \
            Reformation} please
        how do i read {secretary hand|old German Kurrent|Latin abbreviations} in a {parish register|17th century \
            will|church book}
        i found {an old musket|a Nazi era letter|a roman looking coin|a bundle of ration books} in my attic, how \
            do i find out its history
        why did the Allies {bomb Dresden|not bomb the rail lines to Auschwitz|land in Normandy|divide Germany}
        what was {Stalin|Mao|Franco|Tito|Atatürk} trying to do with {his reforms|the economy|religion}
        how did {Christianity|Islam|Buddhism} spread across {northern Europe|west Africa|central Asia|Indonesia}
        what happened to {the Romanovs|the Knights Templar|the lost colony of Roanoke|the library of \
            Alexandria|the Etruscans}
        best books on {the Byzantine empire|the thirty years war|pre-columbian America|the history of the Balkans} \
            for a beginner
        what did {the East India Company|the Hanseatic League|the Medici|the Hudson's Bay Company} do that made it \
            so powerful
        historiography of {the Enlightenment|feudalism|the industrial revolution|the Holocaust}, short overview
        which methods do archaeologists use to date {bone|pottery|timber|charcoal} from {an Iron Age hillfort|a \
            Neolithic grave}
        why did the {Mongols|Ottomans|Umayyads|Huns} stop where they did in Europe
        why is 1066 such a big deal in england
        so like why did america even drop two bombs and not one
        did ordinary germans know about the camps
        what happend to the aztecs after cortez came
        why didnt the native americans die out from their own diseases but from european ones
        who started ww1, was it really germany's fault
        how come japan closed its borders for 200 years
        was the british empire good or bad for india
        my teacher says the dark ages were not dark. why were they called like that then
        I always thought Lincoln fought the war to free the slaves, but a book I read says it was about the union. \
            Which one is right?
        My family name shows up in an 1851 census in Cork and then vanishes. What happened in Ireland around then?
        Could you tell me a little about the suffragettes and why they went on hunger strike?
        in what year did Constantinople become Istanbul, and why the name was changed?
        please explain to me the reasons of the crusades, I don't understand why they go to Jerusalem
        we visited the trenches at Ypres last week and I keep wondering how soldiers could stand it for four \
            years. How long did one man stay in the front line?
        who signed the Declaration of Independence
        how many people died in the black plague
        why was the Maginot line useless
        what were the Corn Laws and why did people hate them
        what was the Cultural Revolution
        who came first, the Sumerians or the Egyptians
        how did the Romans build roads that last until today, and who paid for them
        how were the Jim Crow laws ended
        what was Reconstruction and why did it fail
        Was the Great Leap Forward a deliberate famine? What do archives opened since the 1980s show?
        how did enigma get broken and did it shorten the war
        what caused the witch hunts in europe
        were there really female gladiators
        when and why did the Vikings stop raiding
        who was the last emperor of China
        what did the Marshall plan do for western Europe
        what happened in Tiananmen square in 1989
        why did apartheid last so long
        compare how Athens and Sparta were governed
        how did kings prove they were kings before photographs
        What role did women play in the French Resistance?
        what was the Scramble for Africa, summary for grade 10
        why did knights stop wearing armour
        did the Trojan war really happen or did Homer make it up
        how did the plague of Justinian weaken the eastern empire
    """,
    "law": """
        can my {landlord|boss|school|neighbour|bank} {search my bag|come in whenever he wants|put a camera at my \
            door|keep money I paid|stop me from leaving}
        is it {illegal|a crime|allowed} to {record my boss in secret|live in a van on the street|sell home brewed \
            beer|pretend to be a doctor|keep money you found|drive barefoot}
        what happens if I {ignore a court letter|don't pay a fine|break a tenancy early|lie under oath|get caught \
            with weed|miss jury duty}
        do I have to {tell the police my name|show a receipt at the shop door|pay rent when the boiler is \
            broken|split the house if we were never married}
        my {ex|sister|stepmother|business partner} {won't give back my things|hides the will|took the kids \
            abroad|signed in my name}, what are my rights
        the {shop|airline|builder|garage|gym} {won't refund me|broke my stuff|keeps charging my card|went bust \
            with my deposit}, can i take them to court
        how long do I have to {sue|appeal a ruling|contest a will|report a theft|return goods bought online} in \
            {England|California|Germany|Ontario}
        what's the difference between {manslaughter and murder|a barrister and a solicitor|copyright and \
            trademark|libel and slander|bail and parole|joint and sole custody}
        what does {without prejudice|force majeure|mens rea|res judicata|promissory estoppel|consideration in a \
            contract|severability} mean
        how can {a grandparent see the kids|a tenant withhold rent|an unmarried father get custody|a worker claim \
            unpaid holiday} by law
        draft {a letter before action|a simple will|a loan agreement between friends|a clause limiting liability|a \
            notice to quit} for {a small claim|Scotland|a roommate}
        what are the elements of {negligence|fraud|adverse possession|defamation|battery|breach of contract}
        is {my dog biting a burglar|a text message contract|a tattoo design|an AI generated picture|my invention \
            shown on youtube} protected or a problem in law
        does a {tenant|freelancer|witness|victim|juror} need a lawyer for {a hearing|signing this|a mediation}
        which court {hears|decides} {a tax dispute|a neighbour dispute|an asylum appeal|a patent case}
        can i be {fired while on sick leave|sued over a bad review|deported for a misdemeanour|forced to testify \
            against my wife}
        the police {stopped me and took my phone|want me to come for a chat|searched my car}, was that lawful
        who {pays|is liable} if {a tree falls on a car|a kid breaks a window|a guest slips by my pool|a parcel is \
            stolen from the porch}
        limitation of {indemnity|earn-out|warranty} claims in a share purchase agreement, market standard?
        is this {non compete|arbitration clause|NDA|overtime waiver} enforceable against {a junior employee|a \
            contractor}
        they put me in a debt register for a bill that isn't mine
        my flat has black mould and the council does nothing, what can i do
        got caught shoplifting at 16 will it stay on my record
        my dad died and there is no will, who gets the house
        how do i change my name legally
        someone copied my shop's logo
        is a handshake deal binding
        does the fourth amendment cover emails stored in the cloud
        standard of review for an agency's interpretation after Chevron was overruled
        My neighbour built his fence 40 cm on our land ten years ago and now says it's his. Is he right?
        I work in a kitchen and boss pays me less than he pays others for same hours, is it legal please?
        what does a judge look at in a custody fight
        do i lose my green card if i live abroad for a year
        what does GDPR say about putting staff photos on a website
        can the other driver's insurer make me sign a release
        can i use a celebrity's picture on a t shirt i sell
    """,
    "math": """
        solve {3x + 5 = 2x - 9|2x^2 - 7x + 3 = 0|log2(x) = 5|abs(x - 4) < 3|x + y = 7 and x - y = 1|e^(2t) = 10} \
            {and show the steps|for me|please}
        what is the derivative of {x^3 ln x|tan(3x)|e^(x^2)|sqrt(1 + x^2)|arctan x|x^x}
        integrate {x e^x dx|1/(1 + x^2)|sin^2 x|ln x from 1 to e|x^2 sqrt(x^3 + 1)} and explain
        find the limit of {sin(x)/x as x goes to 0|(1 + 1/n)^n as n grows|(x^2 - 9)/(x - 3) at 3|n!/n^n for large \
            n|x ln x at 0}, with a proof
        what is {18% of 240|7/8 minus 2/3|144 divided by 0.6|37 squared|the cube root of 512|2 to the power of \
            15|0.125 as a fraction}
        how do i {factor a cubic|complete the square|do long division of polynomials|rationalise a \
            denominator|work out a percentage increase|convert a recurring decimal}
        what are the odds of {rolling at least one six in four throws|getting two pairs in five cards|three people \
            sharing a birthday in a class of 30|flipping 7 heads in 10}
        a bag has {4 red and 6 blue|3 green and 9 white|5 black and 2 gold} marbles and i draw {two|three} without \
            replacement, what is the chance they match
        find the {eigenvalues|inverse|determinant|rank|null space|LU decomposition} of the matrix with rows (2, 1) \
            and ({1, 2|0, 3|4, -1})
        prove {by induction that 2^n > n for every n|that there are infinitely many primes|that sqrt(3) is \
            irrational|that every tree with n vertices has n-1 edges|that n^3 - n is divisible by 6}
        is {every continuous function differentiable|0.999... equal to 1|zero even|every group of order 15 \
            cyclic|the union of two subspaces a subspace|a square a rectangle}, and why
        explain {eigenvectors|the chain rule|logarithms|complex numbers|Bayes' theorem|modular arithmetic|the \
            central limit theorem} {to a 15 year old|intuitively|with a small example}
        what is {a group homomorphism|a compact set|a Lebesgue integral|a manifold|a vector space|a bijection|a \
            martingale|the Riemann hypothesis}
        area of a {circle with radius 7|trapezoid with sides 4 and 9 and height 5|triangle with sides 5, 6, \
            7|regular hexagon with side 3|sector of 60 degrees}
        volume of {a cone 12 high and 5 wide|a sphere of diameter 10|the solid from rotating y = x^2 about the x \
            axis|a pyramid with a square base}
        what test should i use to compare {two means with unequal variance|three proportions|paired ordinal \
            data|survival curves}, statistically
        how do I calculate {a 95% confidence interval|the standard deviation|a p value|the interquartile range|a \
            regression line|the variance of a sum} by hand
        how many ways can {8 people sit at a round table|you arrange the letters of BANANA|we pick 4 of 12|you \
            climb 10 steps taking 1 or 2 at a time}
        what is the next number in {2, 6, 12, 20|1, 1, 2, 3, 5, 8|3, 9, 27|1, 4, 9, 16|2, 3, 5, 7, 11} and the \
            general formula
        solve the differential equation {y' = 3y|y'' + 4y = 0|y' + y/x = x|y'' - 2y' + y = e^x|dy/dx = xy} with \
            {y(0) = 1|general constants}
        does the series {1/n^2|(-1)^n/n|n/2^n|1/(n ln n)|n!/n^n} converge
        find the {gcd|lcm} of {84 and 126|36 and 48|1071 and 462|15, 20 and 35}
        what is the equation of {a line through (2, 3) and (5, -1)|a circle with centre (1, -2) and radius 4|a \
            plane through three points|the tangent to y = x^3 at 2}
        if {a train goes 240 km in 3 hours|5 painters need 6 days|a car loses 15% of its value a year|I save 50 at \
            4% compounded}, how {far in 7 hours|long for 3 painters|do I set up the equation}
        simplify {(2x^3 y)^2 / 4xy|sqrt(72) + sqrt(8)|sin^2 x + cos^2 x - 1|(a + b)^2 - (a - b)^2|3/(x - 1) - 2/(x \
            + 1)}
        help my {son|daughter} with {fractions|times tables|long division|negative numbers|word problems with \
            ratios}, {she|he|the kid} just doesn't get it
        how do I show that {a matrix is positive definite|a map is linear|a relation is transitive|a sequence is \
            Cauchy|a graph is bipartite|a set is countable}
        find the {maximum|inflection points|asymptotes|domain and range} of f(x) = {x^3 - 3x|x/(x^2 + 1)|ln(4 - \
            x^2)|(x - 2)/(x + 3)}
        what is the {fourier series|laplace transform|taylor expansion} of {a square wave|t e^(-2t)|cos x around \
            0|a sawtooth|ln(1 + x)}
        is {91|221|1001|337|2^31 - 1} a prime number
        x is normal with mean {50|100|0} and sd {5|15|1}, find P(X > {60|110|1.5})
        compute {17^23 mod 5|the residue of 1/(z^2 + 1) at i|the curl of (y, -x, z)|the cross product of (1,2,3) \
            and (4,5,6)|7 choose 3}
        what's the difference between {permutations and combinations|mean and median|a ring and a \
            field|correlation and regression slope|sine and cosine rule|supremum and maximum}
        convert {75 degrees to radians|0.0032 to scientific notation|1101 in binary to decimal|polar (2, pi/3) to \
            cartesian|5/16 to a percentage}
        why is {dividing by zero undefined|a negative times a negative positive|the area of a circle pi r \
            squared|e such a special number|0! equal to 1}
        who can explain {Gödel's theorem|Galois theory|the Banach Tarski paradox|cardinality of the reals|the \
            Monty Hall puzzle} without too many symbols
        use {Lagrange multipliers|Green's theorem|Simpson's rule|Newton's method|integration by parts} on {a \
            simple example|my homework problem about an ellipse}
        how much is a third off 89.99
        i forgot how to do long multiplication
        what does the sigma sign mean in sums
        why do i need to flip the inequality sign
        how do i cross multiply
        can pi ever end
        whats the hypotenuse if legs are 9 and 12
        how do you subtract mixed numbers 5 1/4 - 2 3/4
        what are the roots of unity
        The sum of three consecutive odd integers is 87. Find them.
        A ladder 5 m long leans on a wall, the foot is 3 m away. How high does it reach?
        Let G be a finite group and H a subgroup of index 2. Why is H normal?
        Suppose X and Y are independent exponential with rates 2 and 3, what is P(X < Y)?
        I got 42 out of 60, what grade in percent is it and what would i need in the next test for an average of \
            80?
        If my recipe for 6 people uses 450 g flour how much for 10, as a ratio problem?
        Please check my proof: assume n^2 even, then n even because odd times odd is odd. Is it complete?
        My daughter's homework says 3 + 4 x 2 = 14. I say 11. Who's right and why?
        Can you kindly solve this exercise, a rectangle has perimeter 34 and area 60, find the sides
        is there an example of a function continuous everywhere but differentiable nowhere
        how does one show that L^2 is complete
        is the spectral theorem true for unbounded operators
        sketch of why homology is homotopy invariant
        matrix exponential of a nilpotent matrix
        two dice sum distribution table
        expected number of coupons to collect all 20
        how fast does the gap in the harmonic series grow
        how do i find a vector orthogonal to two others
        what's an easy trick for multiplying by 11
        what does it mean for a set to be open
        inverse function of y = (2x + 1)/(x - 3)
        dot product of two unit vectors at 60 degrees
        f(x) = 2x - 5, g(x) = x^2, find f(g(3))
        how can I get better at mental arithmetic
        how do I solve a quadratic when the discriminant is negative
        what is the angle sum of a 12 sided polygon
        monte carlo estimate of pi, how many points for 3 digits, mathematically
        chi square of 7.8 with 3 degrees of freedom, significant?
    """,
    "other": """
        how do you fold {a duvet cover|a napkin into a swan|a shirt for a suitcase|a paper crane}
        what should i see in {Prague|Buenos Aires|Hanoi|Edinburgh|Cairo} in {a weekend|three days with kids|one \
            rainy day}
        recommend {a thriller|a sitcom|a feel good movie|a documentary about space|a war film|a true crime \
            podcast} for {tonight|my parents|a long flight}
        recipe for {shakshuka|fluffy pancakes|lentil soup|a birthday cake without eggs|pad thai|sourdough}
        how long do i {boil an egg|roast a chicken|let dough rise|freeze leftovers}
        name ideas for {a grey kitten|a goldfish|our boat|a band|a black lab|a quiz team}
        how do i {knit a scarf|make a friendship bracelet|paint an old chair|hang a shelf|sew on a button|make \
            slime|carve a pumpkin}
        best {build for a paladin|starter in pokemon|seed in minecraft|loadout in warzone|deck for beginners in \
            magic}
        which {guitar chords|key|tempo} for {Wonderwall|a sad ballad|happy birthday}
        explain the {offside rule|icing rule in hockey|scoring in tennis|lbw rule in cricket|rules of darts}
        capital of {Mongolia|Peru|New Zealand|Burkina Faso|Canada|Kazakhstan}
        how {old is|tall is|rich is} {Adele|Keanu Reeves|Ronaldo|Zendaya|the king of Spain}
        translate "{where is the station|I miss you|happy new year|the bill please}" into \
            {Greek|Korean|Portuguese|Turkish}
        write a {haiku|limerick|rap|bedtime story} about {a physics teacher|a tired nurse|a lawyer in love|a \
            lonely robot|a chemistry set|an economist's dog}
        write an email to {my friend Anna about the trip|my landlady to thank her|the team about the summer \
            party|grandma for her 90th}
        what to wear to {an office party|a funeral|a beach wedding|a job interview in summer}
        get {wax|ink|grass|chewing gum|candle soot} out of {a carpet|jeans|a tablecloth}
        who {won|hosted|scored most goals in} the {1998 world cup|last olympics|champions league}
        what's the {biggest desert|deepest lake|smallest country|most spoken language|busiest airport} in the \
            world
        trivia question about {history|animals|science|movies}, make it funny
        make a playlist for {studying math|a road trip|a 90s party|cooking}
        act as {a dungeon master|a grumpy historian|my personal trainer|a 1920s detective|Socrates at a pub}
        you are a {translator|poet|pirate}, answer everything in {rhymes|one line|old english}
        gift for {a doctor friend|my dad who likes engineering|a math teacher|a 7 year old|a colleague who leaves}
        rewrite this {economics essay intro|biology paragraph|business email} so it {flows better|sounds \
            natural|is shorter}
        proofread my {history essay|cover letter|psychology report} for {typos|grammar}
        how do i say {I'm allergic to nuts|nice to meet you|cheers} in {Italian|Czech|Japanese}
        plot ideas for a novel where {a philosopher solves crimes|a hospital floats in space|the banker is a \
            ghost}
        what's a good {costume|icebreaker|team game|riddle} for {halloween|a school trip|the first day at work}
        how do i clean {an oven|white sneakers|a cast iron pan|a fish tank|the washing machine}
        who plays the {doctor in House|lawyer in Suits|villain in Die Hard}
        which sci fi films get the science right
        is {Breaking Bad|Grey's Anatomy|The Crown|Oppenheimer} worth watching
        how many episodes are in season 2 of Sherlock
        what time zone is Lisbon in
        how far is it from Vienna to Budapest by train
        can i bring cheese on a plane as carry on
        where can you park near the stadium for free
        whats the best pizza topping
        i cant sleep lets chat
        sing happy birthday to mia
        count to twenty in roman style for fun
        would you rather fly or be invisible
        what's your star sign
        crossword clue: greek letter, three letters
        rhyme with orange
        give me a riddle about time
        read me tomorrow's calendar
        open the garage
        mute the tv
        text sam that im running late
        how do i get my cat to stop scratching the sofa
        my grandma's scone recipe says gas mark 6, what is that in an electric oven
        how do i tune a ukulele
        tips for growing roses on a balcony
        what do i bring to a housewarming
        who wrote the lord of the rings
        describe a market in Marrakesh for my travel blog
        give me 10 instagram captions for a sunset
        what are the lyrics to twinkle twinkle
        how do i level up fast in stardew valley
        is a hot dog a sandwich
        how do i play backgammon
        what's the plot of Hamlet in three sentences
        good wine with salmon
    """,
    "philosophy": """
        what did {Kant|Aristotle|Hume|Spinoza|Nietzsche|Simone de Beauvoir|Wittgenstein} mean by {freedom|the good \
            life|causation|the self|truth|virtue}
        is it morally wrong to {eat meat if animals are treated well|have children on a dying planet|lie to a \
            dying friend|break a law that's unjust|pirate a book from a rich author|ghost somebody}
        what's the strongest objection to {utilitarianism|moral relativism|dualism|the ontological argument|social \
            contract theory|hard determinism}
        how would a {Kantian|utilitarian|virtue ethicist|contractualist|care ethicist} think about {self driving \
            cars|whistleblowing|organ markets|zoos|white lies}
        is this argument valid: {all dogs bark, Rex barks, so Rex is a dog|if it rains the street is wet, it's \
            wet, so it rained|no fish fly, some birds fly, so some birds are not fish}
        which fallacy is it when someone says {you can't criticise because you did it too|everyone knows it|if we \
            allow this then soon everything is allowed|you are no expert so you're wrong}
        symbolize in predicate logic: {every student admires some teacher|nobody who cheats wins|only the brave \
            are free|some cats like everyone}
        if {a ship has all its planks replaced|my brain is copied into a computer|a teleporter rebuilds me|I lose \
            all memories}, is it still the same {thing|person|me}
        how do {Buddhists|Stoics|existentialists|Epicureans|Taoists} answer the question of {suffering|death|what \
            to live for|anger}
        what is the difference between {ethics and law in a moral sense|a priori and a posteriori|deontology and \
            consequentialism|knowledge and true belief|ontology and epistemology|nihilism and absurdism}
        do we have {free will|moral duties to strangers|duties to future people|a soul|any certain knowledge}, or \
            does it only seem so
        explain {the categorical imperative|the veil of ignorance|the cave allegory|the experience machine|Gettier \
            cases|the is ought gap} in {simple words|two paragraphs|terms of modern life}
        can {morality|meaning|human dignity|evil|truth} exist without God
        what does {Confucius|Mencius|Laozi|Nagarjuna|Avicenna|Al-Ghazali|Aquinas} say about {the family|ruling \
            well|emptiness|proof of God|the soul}
        what's a good reply to {the problem of evil|solipsism|Pascal's wager|the skeptic about the external \
            world|the sorites paradox}
        is {beauty|justice|colour|time|the number seven|gender} objective or something we made up
        where should I start reading {Hegel|Heidegger|Plato|Camus|Arendt|Rawls|Foucault}
        when is {civil disobedience|war|paternalism|punishment|inheritance|torture} ever justified, \
            philosophically
        what is {phenomenology|logical positivism|hedonism|pragmatism|moral luck|supervenience|the principle of \
            double effect|panpsychism}
        write a thesis statement about {euthanasia|animal rights|privacy as a moral right|just war|the death \
            penalty} from an ethical viewpoint
        could a {machine|thermostat|chatbot|ant colony|corporation} be conscious or have {rights|duties|a mind}
        how does {Parfit|Nagel|Singer|Nussbaum|MacIntyre|Chalmers|Dennett} argue that {identity is not what \
            matters|we cannot know what it's like|distance does not matter morally|qualia are real}
        prove with natural deduction that {P -> Q, ~Q so ~P|P v Q, ~P so Q|(P & Q) -> R gives P -> (Q -> R)}
        does the {trolley problem|lottery paradox|liar paradox|chinese room|Newcomb problem} have an accepted \
            answer
        i feel {life has no point|time goes too fast|nothing I do matters in a huge universe}, what did \
            philosophers say about that
        is it {selfish to be happy while others suffer|fair that talent is luck|hypocritical to fly and \
            preach|wrong to want revenge}
        if {a tree falls and no one hears it|nobody remembers a person|a lie makes everybody happier}, does it \
            {make a sound|matter|count}
        is {altruism really selfish|ignorance bliss|pleasure the only good|suicide always irrational|promising \
            binding after death} according to philosophers
        what do {Jains|Sikhs|Sufis|Quakers|Hindus of the Advaita school} believe about {violence|the divine|the \
            self}, as a philosophy
        how do I {build a deductive argument|write a philosophy essay|spot a hidden premise|steelman a view|use \
            reductio ad absurdum}
        what would Socrates ask about {social media|patriotism|love|success|expertise}
        is moral {progress|knowledge|disagreement|responsibility} possible if {determinism is true|there are no \
            moral facts|cultures differ}
        compare {Hobbes and Locke|Plato and Aristotle|Sartre and Camus|Mill and Bentham|Hume and Kant} on {human \
            nature|freedom|knowledge|justice}
        is supervenience compatible with {mental causation|emergentism|non-reductive physicalism}
        what is the ethical problem with {gene editing of embryos|placebo trials|predictive policing|sweatshop \
            labour|paying for kidneys}
        what's the meaning of life, honestly
        why is there something rather than nothing
        how can i know i'm not dreaming
        is there a difference between being nice and being good
        can god make a stone so heavy he can't lift it
        why be moral if nobody is watching
        is it ok to kill one to save many
        whats the point of philosophy
        does everything happen for a reason or is it all random
        I saved my brother instead of two strangers in a boat accident. A friend says two lives weigh more. Was I \
            wrong?
        My wife thinks our vegan neighbour is inconsistent for wearing leather. Is inconsistency a moral fault at \
            all?
        I am reading the Nicomachean Ethics and I'm lost at the mean. Is it just moderation in everything?
        Please, what is exactly the difference between existence and essence by Sartre? My English is not so good.
        As a hospice chaplain, how can I speak about the problem of evil without sounding cheap?
        If nobody chooses their genes or upbringing, what justifies blaming criminals?
        Do we owe anything to people who will live in 300 years?
        if god knows what ill do tomorrow, am i free to do otherwise
        what is modus tollens
        difference between valid and sound
        what are necessary and sufficient conditions with an example
        contrapositive of "if you are human then you are mortal"
        is logic discovered or invented
        truth table for (p -> q) v (q -> p)
        what does cogito ergo sum prove
        is modal realism as crazy as it sounds
        what's wrong with verificationism
        how should i live according to epicurus
        what is bad faith
        why does Nietzsche say god is dead
        explain karma as a moral principle, not as a superstition
        what is the golden rule and which religions teach it
        are there any good arguments for vegetarianism besides suffering
        when is a lie not a lie
        what makes a life go well, three theories
        what is the demarcation problem between science and pseudoscience, Popper or Kuhn
        does quantum randomness help free will at all
        is it fair to judge people in the past by today's morals
        does art need to be beautiful to be art
        what did the Cynics teach and did Diogenes really live in a jar
        explain intersubjectivity in Husserl for someone who read only Descartes
        is tolerance of the intolerant a contradiction
        if two people agree to something harmful, is it still wrong
    """,
    "physics": """
        why does {ice float|a spinning top stay up|a curveball bend|a rainbow have that order of colours|a straw look \
            broken in water|thunder come after the flash|metal feel colder than wood}
        how {fast|far|high} does a {ball thrown up at 15 m/s|stone dropped for 3 seconds|bullet shot horizontally \
            from 2 m|car braking at 6 m/s^2} go
        a {2 kg block|crate of 40 kg|sled} slides down a {30|20|45} degree slope with friction {0.2|0.1}, find the \
            acceleration
        what is the {momentum|kinetic energy|de Broglie wavelength|gravitational force} of {a 70 kg runner at 8 \
            m/s|an electron at 1% of c|two planets a million km apart}
        explain {entanglement|time dilation|the double slit|entropy|superconductivity|the uncertainty \
            principle|spin|the Higgs field} {without maths|to a curious teen|for my physics exam}
        what would happen if {I fell into a black hole|the sun vanished|earth stopped rotating|gravity \
            doubled|light was slower|the moon came closer}
        what's the difference between {mass and weight|heat and temperature|speed and velocity|fission and \
            fusion|AC and DC in terms of electrons|bosons and fermions|power and energy}
        how does {a rainbow|a laser|an MRI magnet|a microwave|a prism|polarised light|a cyclotron|a lens} work, \
            physically
        what is the {electric field|potential|magnetic field|capacitance} of {a charged ring|a long straight \
            wire|a uniformly charged sphere|two parallel plates}
        find the {current|voltage drop|equivalent resistance|power} when {a 6 and a 12 ohm resistor are in \
            parallel on 9 V|three bulbs are in series on 12 V}
        derive {the lorentz transformation|the wave equation for a string|Kepler's third law|the ideal rocket \
            equation|the Klein-Gordon equation|the Bohr radius}
        how do we know {the age of the universe|that dark matter exists|the mass of the sun|what stars are \
            made of|atoms are mostly empty}
        who is right about {what is inside a black hole|the many worlds interpretation|string theory|the Hubble \
            tension}, physicists seem divided
        what is {dark energy|a neutrino|antimatter|a plasma|a quasar|a magnetic monopole|zero point energy|the \
            event horizon|a quark}
        which {renormalization scheme|basis set of functions|boundary conditions|gauge} is natural for {QCD at one \
            loop|a quantum ring|a lattice calculation}
        how should I {fit a Fano resonance|align a Mach-Zehnder interferometer|calibrate a Geiger counter|cut out \
            cosmic muons|reduce 1/f noise in a photodiode readout}
        what is the {lens equation result|magnification|focal length} for an object {30 cm from a converging lens \
            of 10 cm|between the focus and a concave mirror}
        how much {heat|work|entropy change} to {melt 200 g of ice|boil away a litre of water|expand 1 mol of gas \
            isothermally to twice the volume}
        why is {the sky dark at night|the sunset red|the speed of light a limit|space cold|snow white|glass \
            transparent|a mirror reversing left and right}
        does {hot water freeze faster|a heavier object fall faster|sound travel in space|a fly in a car weigh \
            anything|time exist for a photon}
        what are {standing waves|normal modes|beats|harmonics|shock waves} in {a guitar string|an organ pipe|a \
            coupled pendulum}
        two {cars|ice skaters|balls|asteroids} collide and {stick together|bounce elastically}, what are the \
            velocities afterwards
        calculate the {period|frequency|amplitude} of {a 1 m pendulum|a spring with k = 200 N/m and 0.5 kg|a \
            satellite 400 km up}
        what is the {ground state energy|wave function|degeneracy|selection rule} for {a particle in a box|the \
            hydrogen atom|a harmonic oscillator|a rigid rotor}
        how did {Michelson and Morley|Rutherford|Millikan|Cavendish|LIGO} measure {it|what they measured}, and how \
            exact was it
        how do {stars|planets|pulsars|galaxies|white dwarfs} form and die
        how does {gravity|pressure|a magnetic field|a vacuum} bend or change {light|a beam of electrons|the \
            boiling of water|time}
        state {Newton's third law|the second law of thermodynamics|Faraday's law|Snell's law|Gauss's law} and give \
            {an example|a worked problem|a common mistake}
        how can I {see the Doppler effect|measure g|build a cloud chamber|show interference|measure the speed of \
            sound} at home
        why do {tides happen twice a day|satellites not fall down|magnets attract iron|comets have tails|planets \
            go round in ellipses|wires heat up}
        convert {5 eV to joules|20 m/s to km/h|3 atm to pascal|1 light year to km|300 K to Celsius} with {the \
            physics formula|an explanation}
        what's the {half life|binding energy|decay chain|activity} of {uranium 238|carbon 14|cobalt 60|radon 222}
        can {a perpetual motion machine|faster than light travel|time travel to the past|absolute zero|a warp \
            drive} exist by the laws of physics
        what is {the Lagrangian|the Hamiltonian|the moment of inertia|the constraint force} of {a double \
            pendulum|a bead on a hoop|a rolling cylinder|a spinning rod}
        what happens to {pressure|temperature|the speed of molecules} if you {halve the volume of a gas|pump air \
            out of a bell jar|heat a sealed can}
        how do {phonons|Cooper pairs|band gaps|topological edge states|magnons} come about in a {crystal|thin \
            film}
        why does a {black body|light bulb filament|neutron star|hot iron bar} {glow in just that colour|radiate at \
            all}
        why cant anything go faster than light
        what is gravity really
        is the universe infinite
        how heavy is a cloud
        how can light be a wave and a particle
        what came before the big bang
        whats the terminal velocity of a cat lol
        why do two magnets repel if flipped
        how hot is lightning
        if i jump in a falling elevator will i live
        what force keeps me on a bike
        On a merry go round I feel pushed outward but my teacher says there's no such force. What's going on?
        A skater pulls in her arms and spins faster. Where does the extra energy come from?
        My kid asked why the moon doesn't fall on us and I had no good answer. Help?
        I can hear my neighbour's bass but not the singing. Why do low frequencies pass walls better?
        Please explain me the photoelectric effect, why the brightness does not matter?
        we see a 2.3 sigma excess at 150 GeV, how do I include the look elsewhere effect
        is there a gauge invariant meaning of the vector potential, aharonov bohm confuses me
        how do i convert from natural units back to SI
        how many photons per second from a 5 mW red pointer
        what's the schwarzschild radius of the earth
        why does a gyroscope precess
        what happens at the end of the universe
        whats a tensor in general relativity for a beginner
        how can a vacuum have energy
        elastic collision in one dimension formula
        is friction dependent on area
        what wavelength is green light and what energy does a photon have
        how do sunspots form
        does a candle burn in zero gravity
        how does a hot air balloon rise, archimedes?
        what is meant by reference frame
        density of an object that weighs 5 N in air and 3 N in water
        how bright is a star of magnitude 6 against magnitude 1
        why do we always see lightning zigzag
        a wave has frequency 440 Hz and speed 340 m/s, wavelength?
    """,
    "psychology": """
        why do I {replay old conversations at night|cry when I get angry|feel guilty when I rest|push people \
            away|always say yes|need everything tidy|lose interest as soon as somebody likes me}
        why do people {ghost each other|join cults|lie about small things|slow down at accidents|love sad \
            songs|stay with partners who hurt them|believe horoscopes}
        how do I deal with {regression to the mean|head motion|practice effects|demand characteristics|social \
            desirability} in {a scanner study|a within subjects design|an online survey}
        which {test|scale|questionnaire|task} measures {burnout|working memory|attachment \
            style|rumination|executive function in children} best
        what's the evidence for {EMDR|CBT|exposure therapy|mindfulness|ACT|schema therapy} in {panic \
            disorder|grief|chronic worry|social anxiety|borderline personality disorder}
        how should a therapist respond when a client {arrives late each time|goes silent|brings gifts|idealises \
            her|minimises drinking}
        explain {classical conditioning|confirmation bias|the bystander effect|Maslow's hierarchy|object \
            permanence|learned helplessness} with an {everyday example|example from school}
        what is {the mere exposure effect|gaslighting|the halo effect|self \
            efficacy|transference|reactance|groupthink|the Stroop effect}
        what did {Piaget|Vygotsky|Milgram|Bowlby|Erikson|Bandura|Skinner} find and is it still accepted
        how can I {stop overthinking|be more assertive|break a phone habit|stop comparing myself|forgive my \
            father|stop needing praise|control my temper}
        is my {boyfriend|boss|mother|best friend} {a narcissist|emotionally unavailable|manipulating me|passive \
            aggressive} or am i too sensitive
        does {birth order|screen time|bilingual upbringing|daycare|spanking} affect a child's \
            {personality|attention|behaviour}
        how do memories {form|get distorted|fade|come back with a smell} and why do we {forget names|remember \
            embarrassing moments|have deja vu}
        what's the difference between {guilt and shame|a mood and an emotion|negative reinforcement and \
            punishment|empathy and sympathy|recall and recognition|a psychologist and a psychoanalyst}
        how many participants do I need to detect {d = 0.3|a medium effect|an interaction} in {a 2x2 mixed \
            design|a t test|a mediation model}
        which {reliability coefficient|factor rotation|fit index|mixed model} should I report for a {12 item \
            scale|diary study|validation of a Likert scale}
        how does {chronic stress|childhood neglect|loneliness|lack of sleep|bullying} change {how people \
            think|emotional regulation|trust in others}
        do {opposites attract|violent games make kids aggressive|men and women think differently|lie detectors \
            work|brain training games work}, what does research say
        how do I help my {teenager who withdraws|partner with trust issues|friend after a breakup|colleague who \
            panics before talks|sister who always plays the victim}
        what are the {stages of grief|big five traits|defence mechanisms|stages of moral development|love \
            languages and are they real}
        how do advertisers {use|exploit} {scarcity|anchoring|social proof|fear of missing out} on our minds
        how can a teacher {motivate a bored pupil|calm an angry child|raise self esteem|handle a class clown} \
            using psychology
        why does {being ignored|praise|a deadline|a crowd|red colour|music} change how {well we perform|we feel|we \
            decide}
        how do couples therapists work with {infidelity|stonewalling|mismatched desire|endless fights about \
            chores}
        how was the {Stanford prison experiment|marshmallow test|Asch conformity study|Little Albert study} done, \
            and did it replicate
        is {procrastination|shyness|jealousy|intelligence|optimism|perfectionism} inherited or learned
        why can't {toddlers share|teens get up|babies recognise themselves in a mirror|4 year olds lie well}
        what happens in the mind during {hypnosis|flow|a panic attack|daydreaming|a first impression|falling in \
            love}
        how do psychologists {measure intelligence|assess suicide risk|diagnose ADHD in adults|treat \
            phobias|interview child witnesses}
        what makes {a good apology|long marriages|a charismatic leader|some people resilient|a habit stick}, \
            psychologically
        my child {has an imaginary friend|has tantrums in shops|hates losing|won't talk at school|is jealous of \
            the baby}, is this normal development
        how do I tell the difference between {introversion and social anxiety|sadness and depression|love and \
            attachment|intuition and fear|ADHD and laziness}
        write a {lab report intro|discussion|hypothesis} about {sleep and memory|music and mood|priming|mere \
            exposure}
        i keep {dreaming about my ex|sabotaging my relationships|talking to myself|eating when bored|checking the \
            door}, what does this mean
        what does {Freud|Jung|modern research|evolutionary psychology} say about {dreams|jealousy|the \
            unconscious|laughter}
        how do i stop being so anxious around people
        why am i like this, i ruin every good thing
        why do i feel empty after reaching a goal
        how come i only remember the bad stuff
        why does time fly when youre having fun
        is it normal to miss someone who treated you badly
        do people ever really change
        whats my attachment style if i panic when he doesnt text back
        how to read body language
        My husband shuts down whenever we argue and leaves the room. Is that stonewalling, and how do I reach him?
        I moved abroad for work and feel like I have no personality in the new language. Is this a known thing?
        Since the accident I jump at every horn and I avoid that road. My friend says it will go away alone. Does \
            it?
        My best friend only calls when she needs something, and still I always pick up. Why can't I say no?
        Could you please explain operant conditioning? I mix up always negative reinforcement and punishment.
        As a school counsellor I see a boy who lies compulsively. Which functions of lying should I think of \
            first?
        preregistered, n=84, p=.06 and the reviewers want a bayes factor, which prior would be defensible
        how do you code open ended interview answers and get decent inter rater kappa
        counterbalancing with four conditions, latin square or full
        what is construct validity as opposed to criterion validity
        p300 or n400 for semantic surprise in an EEG experiment
        what does a standard deviation in an IQ score mean for one child
        how long does it take to form a habit, is 21 days real
        what is the difference between bipolar and borderline
        why do siblings turn out so different
        does venting anger make it worse
        what is emotional intelligence and can you learn it
        how do kids learn language so quickly
        why do we yawn when others yawn
        what motivates people more, money or meaning
        how do i stop caring what others think of me
        what's the psychology of gambling
        are people with high iq happier
        how do juries get influenced by attractive defendants, any studies
        why is it so hard to make decisions when there are many options
        why do we blush
        how does trauma get passed to the children in families
        can someone with avoidant attachment fall in love
        what is the dark triad
        how do I talk to my therapist about wanting to quit therapy
    """,
}
