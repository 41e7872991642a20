"""Prompts as users type them, written for this project; Apache-2.0 like the rest of it.

Public question sets are thin here: they hold exam questions, not the landlord, the rash and the traceback.
A template is filled in a few ways with words from `_SLOTS`, or with those that its slot holds, as {this|that};
a line of `_PLAIN` is a prompt as it stands, and so is one of `experts/<label>.txt`, which hold what people who
work in a field ask in its own words.
"""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import TYPE_CHECKING

from pointsman_export.prompts_by_subject import BY_SUBJECT

if TYPE_CHECKING:
    from collections.abc import Iterator

_EXPERTS = Path(__file__).with_name("experts")

_FILLINGS, _SUBJECT_FILLINGS = 12, 24
"""How many prompts one template gives, at most: one of `_TEMPLATES`, and one of `BY_SUBJECT`."""

_SLOTS = {
    "language": (
        "Python|JavaScript|TypeScript|Java|C++|C#|Rust|Go|PHP|Ruby|Swift|Kotlin|bash|SQL|R|Scala|Haskell|Perl"
    ),
    "library": (
        "React|Django|Flask|FastAPI|pandas|numpy|Spring Boot|Vue|Angular|Node.js|PyTorch|TensorFlow|jQuery"
        "|Express|Rails|Laravel|Next.js|Qt|SQLAlchemy|pytest|Kubernetes|Docker|Redis|Kafka|nginx|PostgreSQL"
        "|MongoDB"
    ),
    "error": (
        "KeyError|TypeError: undefined is not a function|NullPointerException|segmentation fault|IndexError"
        "|ModuleNotFoundError|a merge conflict|a memory leak|CORS error|stack overflow|permission denied|404"
        "|500|a race condition|a deadlock|ImportError|syntax error near unexpected token|connection refused"
        "|borrow checker error|undefined reference|UnicodeDecodeError|ClassCastException|timeout"
    ),
    "concept": (
        "promises|closures|the event loop|generators|decorators|pointers|recursion|inheritance|interfaces"
        "|generics|garbage collection|async functions|coroutines|threads and locks|mutexes"
        "|dependency injection|hash maps|list comprehensions|lambda functions|callbacks|type hints|hoisting"
        "|prototypes|regular expressions|traits and lifetimes|goroutines and channels|virtual environments"
        "|unit tests and mocks|the GIL"
    ),
    "task": (
        "reverses a linked list|sorts a list of dictionaries by a key|parses a CSV file|reads a JSON config"
        "|checks if a string is a palindrome|downloads a web page|finds duplicates in an array"
        "|connects to a database|implements binary search|renames all files in a folder"
        "|validates an email address|merges two sorted arrays|counts words in a file"
        "|sends an HTTP request with retries|implements an LRU cache|draws a chart"
        "|scrapes a table from a website|walks a binary tree|implements quicksort|resizes images"
    ),
    "goal": (
        "check whether a year is a leap year|compute the factorial of n|print the Fibonacci numbers"
        "|find all prime factors|multiply two matrices|find the largest number in a list|remove duplicates"
        "|generate all permutations of a string|convert Roman numerals|compute the greatest common divisor"
        "|solve sudoku|find the shortest path in a graph|count vowels in a string|flatten a nested list"
        "|check balanced parentheses|convert Celsius to Fahrenheit|rotate a matrix|shuffle a deck of cards"
        "|find the median of an array|detect a cycle in a linked list|compute the moving average of a column"
    ),
    "structure": (
        "a heap|a priority queue|a binary search tree|a graph|a queue with two stacks|a thread pool"
        "|a hash table"
        "|depth first search|Dijkstra's algorithm|merge sort|a bloom filter|a linked list|a state machine"
        "|a parser for arithmetic|a web server|the observer pattern|a singleton|a simple blockchain"
        "|tic tac toe"
    ),
    "slow": (
        "a join|a for loop|a query with a million rows|page load|a nested loop|reading a large file|a merge"
        "|a regex|the build|startup|matrix multiplication|sorting|an apply call|image loading|the test suite"
    ),
    "operator": (
        "null and undefined|is and ==|++i and i++|& and &&|append and extend|const and readonly|* and **"
        "|map and forEach|null and nil|char and varchar|final and finally|public and protected|-> and ."
        "|' and \""
        "|struct and class|equals and ==|throw and throws|innerHTML and textContent|INNER JOIN and LEFT JOIN"
    ),
    "broken": (
        "only run once|print nothing|return None|never stop|give the wrong result|return undefined"
        "|skip every other item"
        "|work locally but not on the server|use so much memory|crash on an empty list|ignore the first line"
    ),
    "code_thing": (
        "for loop|while loop|function|recursive function|class|script|query|API call|array|dictionary"
        "|if statement"
        "|callback|test|component|constructor|cron job|regex|button click handler|thread|form"
    ),
    "strain": (
        "lifted a sofa|slept badly|fell off my bike|played tennis|worked in the garden|moved house"
        "|sat all day"
        "|slipped on ice|started jogging|carried heavy bags|bumped into a door"
    ),
    "substance": (
        "potassium|magnesium|baking soda and vinegar|hydrogen peroxide|sulfuric acid|chlorine|calcium"
        "|ammonia|ethanol"
        "|copper sulfate|zinc|limestone|acetone|nitrogen|lithium|helium|carbon dioxide|sugar|iron oxide"
        "|iodine"
    ),
    "creature": (
        "bacteria|whales|ants|mushrooms|viruses|snakes|trees|frogs|bats|corals|spiders|neurons"
        "|red blood cells"
        "|stem cells|chromosomes|enzymes|muscle cells|butterflies|octopuses|roots|sharks|embryos|ribosomes"
    ),
    "phenomenon": (
        "lightning|the tides|sound|gravity|light|heat|magnetism|a pendulum|an eclipse|radioactivity"
        "|friction|a laser"
        "|a mirage|the northern lights|nuclear fusion|an echo|the Doppler effect|static electricity"
        "|a neutron star"
    ),
    "behavior": (
        "overthink everything|get angry so fast|avoid conflict|forget names|feel lonely in a crowd"
        "|put things off"
        "|fear failure|seek approval|get jealous|get distracted so easily|bite their nails"
        "|have nightmares|lie"
        "|hoard things|need to be liked|panic before exams|daydream|hold grudges|believe in conspiracies"
    ),
    "moral": (
        "lie to protect a friend|steal food to feed a child|eat animals|break a promise|clone a human"
        "|have the death penalty"
        "|experiment on animals|value your own family more|torture a terrorist"
        "|sacrifice one to save five|have children"
    ),
    "event": (
        "the Renaissance|the Black Death|the Vietnam war|the Great Depression|the fall of Constantinople"
        "|the gold rush"
        "|the Ottoman empire|the Cuban missile crisis|the Crusades|the Industrial Revolution"
        "|the Mongol empire|apartheid"
        "|the American revolution|the Aztec empire|the Meiji restoration|the Russian revolution"
        "|the Viking age"
    ),
    "market": (
        "oil prices rise|the dollar gets weaker|unemployment falls|taxes are cut|rents are capped|wages go up"
        "|a country prints money|interest rates fall|imports get cheaper|a monopoly breaks up|savings rise"
    ),
    "venture": (
        "coffee shop|online store|startup|bakery|consulting firm|food truck|hair salon|gym|small factory|hotel"
    ),
    "expression": (
        "x^2 + 3x - 4|sin(x) cos(x)|2x + 7 = 15|e^(2x)|3x^3 - 2x|1/x|log(x)|(x + 1)^2|sqrt(x)|5/6 - 1/4|2^10|x^4"
    ),
    "tech": (
        "TCP and UDP|REST and GraphQL|a process and a thread|SQL and NoSQL|git merge and git rebase"
        "|HTTP and HTTPS|a stack and a queue|let, const and var|a list and a tuple"
        "|an abstract class and an interface|Docker and a virtual machine|authentication and authorization"
        "|symmetric and asymmetric encryption|unit tests and integration tests|a compiler and an interpreter"
        "|L1 and L2 regularization"
    ),
    "symptom": (
        "a rash|a headache|a sore throat|chest pain|a fever|a dry cough|back pain|nausea|dizziness"
        "|swollen ankles|a stomach ache|blurry vision|heartburn|diarrhea|a stiff neck|joint pain|itchy skin"
        "|shortness of breath|a lump|numbness|cramps|night sweats|a runny nose|ringing in my ears|an earache"
        "|a migraine|hives"
    ),
    "body": "arm|leg|back|chest|stomach|knee|neck|foot|throat|head|shoulder|eye|tooth|hip|wrist|ear|lower back",
    "condition": (
        "diabetes|asthma|low blood pressure|hypertension|anemia|the flu|COVID|pneumonia|migraines|eczema"
        "|gout|arthritis|a kidney infection|a stroke|a heart attack|high cholesterol|sleep apnea"
        "|strep throat|psoriasis|a UTI|acid reflux|osteoporosis|celiac disease|thyroid problems"
        "|kidney stones|appendicitis|shingles|an ear infection|endometriosis|hepatitis|lupus|a concussion"
        "|pink eye|heart disease|breast cancer"
    ),
    "drug": (
        "ibuprofen|aspirin|metformin|amoxicillin|lisinopril|prednisone|Tylenol|antibiotics"
        "|birth control pills|blood thinners|statins|insulin|omeprazole|sertraline|antihistamines|melatonin"
        "|vitamin D|naproxen"
    ),
    "someone": "I|my son|my daughter|my mom|my wife|my husband|my father|my baby|my toddler|my grandmother",
    "landlord_act": (
        "keep my deposit|evict me without notice|raise the rent in the middle of the lease"
        "|enter without permission|refuse to fix the heating|refuse to return my security deposit"
        "|charge me for painting|turn off the water|ban my dog|change the locks"
    ),
    "employer_act": (
        "fire me for being sick|refuse to pay overtime|cut my wages without notice"
        "|make me sign a non-compete|read my private emails|deny me maternity leave"
        "|hold back my last paycheck|fire me without a reason|make me work through my break"
        "|refuse to pay severance"
    ),
    "legal_thing": (
        "a will|a prenup|a power of attorney|a restraining order|an NDA|a non-compete clause"
        "|a lease agreement|a trademark|a patent|child custody|a divorce|small claims court|bail|probate"
        "|a plea bargain|a subpoena|a class action|an easement|a living trust|copyright|bankruptcy|asylum"
        "|a green card|alimony|adoption"
    ),
    "legal_act": (
        "record a phone call without consent|fly a drone over my neighbor's yard|break a lease early"
        "|use someone's photo on my website|carry a pocket knife|download a movie for personal use"
        "|sublet my flat|quit without notice|search my car without a warrant|refuse a breathalyzer|not tip"
        "|homeschool my kids|sell homemade food|collect rainwater|copy a logo|leave a child alone at home"
        "|scrape a website"
    ),
    "wrong": (
        "my contractor took the money and never finished|a driver hit my parked car"
        "|my neighbor's tree fell on my roof|the store refuses a refund for a broken phone"
        "|I slipped on a wet floor in a shop|a dog bit my kid|my ex won't let me see the children"
        "|someone posted lies about me online|I got a speeding ticket"
        "|the airline lost my luggage and won't pay|my boss fired me after I complained"
        "|a company uses my photo|I was arrested for shoplifting|the police searched my apartment"
        "|my brother contests our father's will|a surgeon left a sponge in me|my tenant stopped paying rent"
        "|I signed a contract under pressure"
    ),
    "machine": (
        "a diesel engine|a heat pump|a gearbox|a suspension bridge|a jet engine|a transformer"
        "|a stepper motor|a hydraulic press|a solar inverter|a wind turbine|a steel beam|a retaining wall"
        "|a centrifugal pump|a voltage regulator|an air conditioner|a concrete slab|a pressure vessel"
        "|an electric motor|a drone|a heat exchanger|a PCB|a truss|a conveyor belt|a PID controller|a boiler"
        "|an LED driver|an alternator"
    ),
    "poem": (
        "autumn|the sea|my cat|a rainy day in Paris|a robot who falls in love|friendship|the moon|a dragon"
        "|coffee|my grandmother's garden|a lost dog|space travel|a haunted house|two sisters|a train journey"
        "|winter"
    ),
    "form": "poem|short story|haiku|limerick|song|rap|bedtime story|sonnet|dialogue|blog post|love letter|joke",
    "occasion": (
        "birthday|wedding|farewell party|job interview|baby shower|anniversary|retirement|graduation|housewarming"
    ),
    "dish": "lasagna|banana bread|a vegan curry|pancakes|chicken soup|sushi|pizza dough|chocolate cake|tacos|risotto",
    "place": "Paris|Tokyo|Rome|New York|Lisbon|Iceland|Thailand|Mexico|Berlin|Morocco|the Alps|Hawaii",
    "person": "Taylor Swift|Messi|Tom Hanks|Beyonce|Leonardo DiCaprio|Serena Williams|Elvis|Walt Disney|Harry Potter",
    "tongue": "French|Spanish|German|Italian|Japanese|Portuguese|Chinese|Dutch|Polish|Arabic",
    "book": "1984|The Great Gatsby|Harry Potter|The Hobbit|Dune|Pride and Prejudice|Moby Dick|Star Wars|Inception",
}

_TEMPLATES = {
    "computer science": """
        Explain {concept} in {language}
        explain {concept} in {language} with an example
        What are {concept} in {language}?
        how do {concept} work in {language}
        when should i use {concept} in {language}?
        Write a {language} function that {task}
        write a {language} script that {task}
        can you give me {language} code that {task}?
        I need a {language} program that {task}. Add comments.
        How do I fix {error} in {language}?
        I get {error} in my {language} code, what does it mean
        fix this {language} code: it throws {error}
        why does my {library} app crash with {error}
        {library} {error} after upgrade, how to solve
        how do I deploy a {library} app to production
        How to write tests for a {library} project?
        {library} tutorial for beginners
        What is {library} used for?
        refactor this {language} code to be more readable
        convert this {language} code to {language}
        review my {language} code please
        optimize this {language} loop, it is slow
        What is the difference between {tech}?
        {tech}: which one should i use?
        best way to learn {language}
        how to set up {library} with {language}
        Help me debug my {language} program, the output is wrong
        how do I use {library} with {library}
        Write a function to {goal}
        write code to {goal}
        write a program to {goal} in {language}
        how do I {goal} in {language}?
        Implement {structure} in {language}
        implement {structure}
        How can I speed up {slow} in {library}?
        {slow} is slow in {library}
        what's the difference between {operator} in {language}
        difference between {operator} in code
        why does my {code_thing} {broken}?
        my {language} {code_thing} does not work
        why does this {language} {code_thing} {broken}
    """,
    "health": """
        I have {symptom}, what should I do?
        I have {symptom} on my {body} since yesterday
        {someone} has {symptom} and a fever, should we go to the ER?
        {someone} has {symptom}. Is it serious?
        my {body} hurts when I walk
        My {body} has been hurting for two weeks, what could it be
        why does my {body} hurt after running
        what could cause {symptom} and {symptom}?
        What causes {condition}?
        what are the symptoms of {condition}
        How is {condition} treated?
        how do i know if i have {condition}
        is {condition} contagious?
        can {condition} be cured
        what should I eat if I have {condition}?
        Can I take {drug} with {drug}?
        what are the side effects of {drug}
        how much {drug} can {someone} take
        I forgot to take my {drug} this morning, should I double the dose?
        can i drink alcohol while taking {drug}
        is {drug} safe during pregnancy?
        how long does {condition} last
        home remedies for {symptom}
        I was diagnosed with {condition}, what now?
        does {drug} help with {symptom}?
        {someone} was prescribed {drug} for {condition}, is that right
        my {body} hurts since I {strain}
        I {strain} and now my {body} hurts
        my {body} is swollen after I {strain}
        my {body} is killing me
    """,
    "law": """
        Can my landlord {landlord_act}?
        my landlord wants to {landlord_act}, what are my rights
        is my landlord allowed to {landlord_act}
        Can my employer {employer_act}?
        is it legal for my boss to {employer_act}
        My employer wants to {employer_act}. Can I sue?
        What is {legal_thing}?
        how do I get {legal_thing}
        do I need a lawyer for {legal_thing}?
        how much does {legal_thing} cost
        explain {legal_thing} in plain English
        Is it legal to {legal_act}?
        can i {legal_act} without getting in trouble with the law
        what is the penalty if I {legal_act}
        am I allowed to {legal_act} in California?
        {wrong}, can I sue?
        {wrong}. What are my legal options?
        {wrong}, do I need a lawyer?
        {wrong} - can i get compensation
        draft a letter to the court about {legal_thing}
        review this contract clause about {legal_thing}
        how does {legal_thing} work in the UK?
    """,
    "engineering": """
        How does {machine} work?
        how do I size {machine}
        design {machine} for a small workshop
        why does {machine} overheat
        What materials are used for {machine}?
        calculate the load on {machine}
        how to maintain {machine}
        my {machine} makes a strange noise, how do I find the fault
        what safety factor should I use for {machine}?
        how efficient is {machine}
        wiring diagram for {machine}
        which sensor do I need to control {machine}
        How strong must {machine} be to carry 500 kg?
        how thick must a plate be for {machine}
        what size of bolt do I need to mount {machine}
    """,
    "biology": """
        how do {creature} reproduce
        How do {creature} grow?
        what do {creature} need to survive?
        why do {creature} exist
        what are {creature} made of
        how did {creature} evolve
    """,
    "chemistry": """
        what happens when {substance} is mixed with water
        why does {substance} react with acid
        what is the chemical formula of {substance}
        is {substance} soluble in water?
        how is {substance} made
        what happens when you heat {substance}
    """,
    "physics": """
        what causes {phenomenon}?
        explain {phenomenon} simply
        How does {phenomenon} work?
        what is the physics behind {phenomenon}
        why is there {phenomenon}
    """,
    "psychology": """
        why do people {behavior}
        why do I {behavior}?
        why do I always {behavior}
        how can I stop myself when I {behavior}
        is it normal to {behavior}
    """,
    "philosophy": """
        Is it wrong to {moral}?
        is it ethical to {moral}
        what would a utilitarian say: may we {moral}?
        what would Kant say about whether we may {moral}
    """,
    "history": """
        what was {event}
        Why did {event} happen?
        how did {event} end
        what were the causes of {event}
        tell me about {event}
    """,
    "economics": """
        what happens when {market}?
        why is it bad if {market}
        who benefits if {market}
        explain what happens to the economy if {market}
    """,
    "business": """
        how do I start a {venture}
        how do I advertise my {venture}
        how much profit does a {venture} make
        how do I hire people for my {venture}
        write a business plan for a {venture}
        how do I raise money for my {venture}
    """,
    "math": """
        differentiate {expression}
        What is the derivative of {expression}?
        what is the integral of {expression}
        simplify {expression}
        solve for x: {expression}
        plot {expression}, where are its roots
    """,
    "other": """
        Write a {form} about {poem}
        write me a {form} about {poem} please
        Can you write a funny {form} for a {occasion}?
        compose a {form} in the style of Shakespeare about {poem}
        give me a {form}
        help me plan a {occasion}
        what gift should i bring to a {occasion}
        write an invitation for my {occasion}
        How do I make {dish}?
        recipe for {dish}
        what goes well with {dish}
        plan a 3 day trip to {place}
        what is the weather like in {place} in May
        best restaurants in {place}
        how do I get from the airport to {place}
        How old is {person}?
        who is {person} married to
        tell me about {person}
        translate "good morning" to {tongue}
        how do you say thank you in {tongue}
        Translate this text into {tongue}
        summarize {book}
        who wrote {book}
        recommend something like {book}
        suggest a name for my {occasion} band
        Write an email to invite colleagues to a {occasion}
        what time is it in {place}
        is {place} worth visiting
    """,
}

_PLAIN = {
    "computer science": """
        what does git rebase do
        How do I undo the last git commit?
        my docker container exits right away
        why is my SQL query so slow
        Write a SQL query that returns the second highest salary
        how do I center a div
        css flexbox vs grid
        make a responsive navbar in html and css
        what is big O notation
        explain how a hash table works
        what is the time complexity of merge sort
        How does public key encryption work?
        what is a REST API
        how does DNS work
        what is a neural network
        how do transformers work in machine learning
        What is overfitting and how do I avoid it?
        fine-tune a language model on my own data
        write a regex that matches phone numbers
        write a Dockerfile for a node app
        write a GitHub Actions workflow that runs pytest
        bash one-liner to find the biggest files
        how do I kill a process on linux
        ssh permission denied publickey
        npm install fails with ERESOLVE
        pip install error: could not build wheels
        my website is slow, how do I profile it
        how can I parse html in a script
        Traceback (most recent call last): File "main.py", line 3, in <module> KeyError: 'name'
        Traceback (most recent call last): File "app.py", line 12 TypeError: 'NoneType' object is not subscriptable
        Exception in thread "main" java.lang.NullPointerException at Main.main(Main.java:5)
        error: cannot borrow `x` as mutable more than once at a time
        Uncaught TypeError: Cannot read properties of undefined (reading 'map')
        what does this do? for (let i = 0; i < 10; i++) { console.log(i); }
        def add(a, b): return a - b  # why does this give the wrong sum
        SELECT name FROM users WHERE age > 30; make this faster
        why does print(0.1 + 0.2) not give 0.3
        const x = await fetch(url); why is x a Promise
        #include <stdio.h> int main() { printf("hi") } does not compile
        df.groupby('a').agg(...) raises an error
        import numpy as np; how do I invert a matrix with it
        <div class="card"> how do I add a shadow with css
        docker-compose up says port is already allocated
        kubectl get pods shows CrashLoopBackOff
        write unit tests for this function
        Design a database schema for an online shop
        design a URL shortener
        how would you architect a chat app
        implement a rate limiter
        make a snake game
        build me a todo app with a login page
        How do I keep API keys out of my repo?
        what is the best data structure for autocomplete
        explain this stack trace
        how to read a file line by line
        which programming language should I learn first
        explain object oriented programming to a beginner
        is my password hashing safe with md5
        What is SQL injection?
        why is my loop infinite
        vim or emacs
        set up a reverse proxy with https
        my wifi driver does not work on ubuntu
        write a chrome extension that blocks ads
        what does O(n log n) mean
        write an Excel macro in VBA that sorts column A
        train an image classifier
        cron job every five minutes
        terraform state is locked
        explain microservices
    """,
    "health": """
        why am I always tired
        I can't sleep at night, what can I do
        how much water should I drink per day
        is coffee bad for the heart
        how do I lower my blood pressure without medicine
        what is a normal heart rate
        why is my blood sugar high in the morning
        my blood pressure is 150 over 95, is that bad
        is it safe to exercise with a cold
        how do I treat a burn
        how do i stop a nosebleed
        I sprained my ankle
        my toddler swallowed a coin
        a tick bit me, what now
        my tooth hurts at night
        when should I see a doctor about a cough
        how do vaccines work
        do I need a tetanus shot
        is my period late because of stress
        early signs of pregnancy
        how can I lose belly fat in a healthy way
        how do I gain weight safely
        what vitamins should a vegan take
        what do my blood test results mean
        my cholesterol is 240
        what is a normal temperature for a baby
        my baby won't stop crying and has a fever
        pain after surgery, is that normal
        how long until a broken arm heals
        my stitches are red and swollen
        there is blood in my urine
        I feel a lump in my breast
        my heart races when I lie down
        I feel dizzy when I stand up
        should I be worried about a mole that changed color
        what is an MRI for
        is it ok to take painkillers every day
        how do I quit smoking
        which foods are high in iron
        what happens during a colonoscopy
        can stress cause hair loss
        allergic to peanuts, what should I avoid
        my eyes are red and itchy
        how do I know if a cut is infected
        what helps against menstrual pain
        is intermittent fasting healthy
        symptoms of low iron
        my knee clicks and swells after running
        why do my hands go numb at night
        can I get the flu shot while pregnant
        my dad had a stroke, what helps him recover
        signs of dehydration
        how is skin cancer found early
        what does a high white blood cell count mean
        my doctor wants to put me on statins
        what is the recovery time after knee surgery
        I threw up all night
        my ears are ringing
        is it bad to crack your knuckles
        why do my gums bleed
    """,
    "law": """
        my neighbor plays loud music every night, what can i do legally
        the landlord kept our whole deposit
        the landlord will not give me the deposit back after I moved out
        how do I sue someone in small claims court
        how do I file for divorce
        how do I contest a parking ticket
        what happens if I die without a will
        can I write my own will
        what is the difference between a felony and a misdemeanor
        what is the statute of limitations for fraud
        do I have to talk to the police
        what are my rights when I am arrested
        can police search my phone
        I got served with court papers
        I got a DUI, what happens next
        how do I get my record expunged
        can I get custody of my kids
        how is child support calculated
        my ex does not pay child support
        how do I get a restraining order
        my employer did not pay me
        was I wrongfully terminated
        can I be fired for posting on facebook
        can I sue for emotional distress
        can I sue my doctor for malpractice
        who is liable if a guest gets hurt in my house
        is a verbal agreement binding
        how can I get out of a contract
        is this contract enforceable
        what makes a contract void
        write a cease and desist letter
        draft a non-disclosure agreement
        draft a simple rental agreement
        write terms of service for my website
        write a privacy policy that complies with GDPR
        what does GDPR require of a small business
        how do I register a trademark
        is fan fiction copyright infringement
        can I use a song in my youtube video
        can I patent my idea
        what is fair use
        how do I form an LLC, legally
        what does indemnify mean in a contract
        explain the arbitration clause
        what is double jeopardy
        what does the fifth amendment protect
        can a minor sign a contract
        what are squatters rights
        how do I evict a tenant
        my roommate is not on the lease, can I kick him out
        can I break my lease if there is mold
        debt collectors keep calling me, is that harassment
        how do I apply for citizenship
        my visa expired, will I be deported
        do I need a lawyer to buy a house
        how do I become an executor
        what is power of attorney
        what should I do after a car accident that was not my fault
        how much is my injury case worth
        insurance denied my claim, can I take them to court
        what evidence do I need in court
        what does pro bono mean
        is self defense a valid defense for murder
        what is the punishment for perjury
        what is the difference between civil and criminal law
        can my parents disinherit me
        HOA fined me for my fence
        am I entitled to a refund by law
    """,
    "engineering": """
        which wire gauge do I need for 30 amps
        how do I calculate the voltage drop in a cable
        how do I read a resistor's color code
        what resistor do I need for an LED at 12 V
        how thick should a concrete driveway be
        how far can a 2x10 joist span
        which steel grade is best for a shaft
        how do I tune a PID loop
        how do I choose a bearing
        how does an op amp work as an integrator
        how do I solder surface mount parts
        arduino or a PLC for a small machine
        how do I stop vibration in a rotating machine
        what is the difference between torque and horsepower
        how does a three phase motor work
        why do bridges have expansion joints
        how are tunnels built
        which 3d printing filament is strongest
        how do I design a gear train
        how does a turbocharger work
        what is the difference between AC and DC motors
        how big must a battery be for a solar system off grid
        how do I calculate the heat loss of a house
        what is a load bearing wall
        what does a capacitor do in a power supply
    """,
    "business": """
        how do I write a business plan
        how do I price my product
        what is a good profit margin for a cafe
        how do I get my first customers
        write a marketing plan for a bakery
        how do I calculate return on investment
        what is the difference between revenue and profit
        how do I prepare a balance sheet
        how do I motivate my sales team
        what should be in a pitch deck
        how can I reduce costs in my supply chain
        where is my refund
        my card was charged twice
        how do I cancel my subscription and get my money back
        how much will a 20% discount on a 50 dollar item save
        what is a SWOT analysis
        how does a franchise work
    """,
    "economics": """
        why are prices going up
        what is inflation
        why does the central bank raise interest rates
        what is the difference between GDP and GNP
        how does supply and demand set prices
        what causes a recession
        is a minimum wage good for the economy
        what is opportunity cost
        how do tariffs affect consumers
        why do governments run deficits
        what is quantitative easing
        explain comparative advantage
    """,
    "biology": """
        why do leaves turn red
        how does photosynthesis work
        how do birds find their way
        what is DNA made of
        how does evolution work
        why do cats purr
        what do mitochondria do
        how do plants drink water
        why are bees important
        how does CRISPR edit genes
        how do vertebrates differ from invertebrates
        what is the difference between a virus and a bacterium
        how long do elephants live
    """,
    "chemistry": """
        why does salt melt ice
        how do I balance a chemical equation
        what happens when you mix bleach and ammonia
        what is the pH of lemon juice
        why does iron rust
        what is a mole in chemistry
        how does soap work
        what is a covalent bond
        how do I make a buffer solution
        what is the difference between an acid and a base
        why is water polar
        what is the molar mass of glucose
    """,
    "physics": """
        why is the sky blue
        what is a black hole
        how fast does light travel
        why do things fall at the same speed
        explain quantum entanglement simply
        what is the theory of relativity
        how do magnets work
        why do ships float
        how far does a ball fly if I throw it at 20 m/s
        what is dark matter
        what is entropy
        how does a rainbow form
        why does time slow down near the speed of light
    """,
    "math": """
        solve x^2 - 5x + 6 = 0
        what is 15% of 80
        integrate x sin x
        what is the derivative of ln x
        help me with my algebra homework
        how do I find the area of a triangle
        what is the probability of two sixes with two dice
        explain eigenvalues
        prove that the square root of 2 is irrational
        what is 23 times 47
        how many ways can I arrange 5 books
        convert 3/8 to a decimal
        what is a prime number
        find the slope of a line through (1, 2) and (3, 8)
        how do I calculate a standard deviation
    """,
    "history": """
        who won the second world war
        why did the Roman empire fall
        what caused the French revolution
        who built the pyramids
        when did the cold war end
        what was the silk road
        who was Cleopatra
        how did the first world war start
        what was life like in the middle ages
        why was the Berlin wall built
        what did Napoleon do
        explain the American civil war to a child
    """,
    "philosophy": """
        do we have free will
        what did Kant mean by the categorical imperative
        what is stoicism
        is it ever right to lie
        does God exist
        what is the trolley problem
        what is existentialism
        explain Plato's cave
        is this argument a straw man fallacy
        what is the difference between ethics and morality
        what is consciousness, philosophically
        is utilitarianism a good moral theory
    """,
    "psychology": """
        why do people procrastinate
        how do habits form
        what is cognitive dissonance
        why do I compare myself to others
        how does memory work
        what is attachment theory
        why do people follow the crowd
        how do I deal with a narcissist
        what is the difference between introverts and extroverts
        how do children learn to speak
        what did Freud think about dreams
        what is imposter syndrome
        why am I afraid of public speaking
        how do I get over a breakup
    """,
    "other": """
        hi
        hello
        hey there
        hi there, how is it going
        good morning
        good evening, nice to meet you
        how are you doing today
        what's up
        thanks
        thank you so much
        thanks, that was helpful
        ok
        great, go on
        yes please
        no
        bye
        see you later
        good night
        who are you
        what is your name
        are you a human
        what can you do
        which model are you
        how old are you
        do you have feelings
        do you like music
        what is your favorite color
        tell me a joke
        tell me something interesting
        make me laugh
        i am bored
        sing me a song
        let's play a game
        test
        this is a test
        say something nice
        i love you
        you are wrong
        try again
        shorter please
        continue
        what did you just say
        can you repeat that
        turn on the lights
        set an alarm for 7 am
        remind me to call mom tomorrow
        play some jazz
        what's the weather today
        will it rain tomorrow
        what time is it
        what day is it today
        call dad
        add milk to my shopping list
        book a table for two tonight
        find me a flight to London
        how far is the nearest gas station
        what movies are playing
        who won the game last night
        which team won the world cup in 2010
        who sings this song
        who played the joker in the dark knight
        what is the capital of Australia
        what is the longest river in the world
        how tall is the Eiffel tower
        how many countries are in Africa
        what should I cook tonight
        what should I wear to a wedding
        how do I tie a tie
        how do I remove a red wine stain
        how often should I water a cactus
        how do I train my puppy
        best way to clean windows
        give me ideas for a rainy sunday
        recommend a good book
        recommend a movie for tonight
        what is a good name for a cat
        write a toast for my best friend
        write a thank you note
        write a cover letter for a barista job
        improve this paragraph
        fix the grammar of this sentence
        rewrite this to sound friendlier
        rewrite this email to be more formal
        make this text shorter
        summarize this article
        summarize the text below in three sentences
        paraphrase this sentence
        give me five synonyms for happy
        what does serendipity mean
        how do you spell accommodate
        write a caption for my holiday photo
        write a tweet about monday mornings
        write a product description for a mug
        act as a travel guide
        pretend you are a pirate
        you are a helpful assistant, answer in one word
        write a story about a brave mouse
        continue this story: it was a dark night
        describe a sunset
        write lyrics for a country song
        invent a new holiday
        come up with a slogan for a bike shop
        what are some fun things to do in summer
        how do I learn to play guitar
        how do I get better at chess
        what are the rules of poker
        how do I take better photos
        plan a weekend with kids
        give me a workout playlist
        write a letter to santa
        what is the best phone to buy
        which car should I buy
        is it going to be a long day
        how do I make friends in a new city
        what is the meaning of the name Julia
        list ten animals that start with b
        tell me a fun fact
        flip a coin
        pick a number between 1 and 10
    """,
}


def user_prompts() -> list[tuple[str, str, str]]:
    """Every prompt with its label and its source, the same ones in the same order at each call.

    The source is `pointsman-experts` of what stands in `experts/<label>.txt`, with _ for a space, else `pointsman`.
    """
    rng = random.Random(0)  # noqa: S311 (a choice of words, not a secret)
    prompts = [(text, label) for label, block in _PLAIN.items() for text in _lines(block)]
    for blocks, most in ((_TEMPLATES, _FILLINGS), (BY_SUBJECT, _SUBJECT_FILLINGS)):
        for label, block in blocks.items():
            for template in _lines(block):
                fillings = {_fill(template, rng) for _ in range(most)}
                prompts += [(text, label) for text in sorted(fillings)]
    experts = [
        (text, path.stem.replace("_", " "), "pointsman-experts")
        for path in sorted(_EXPERTS.glob("*.txt"))
        for text in _lines(path.read_text(encoding="utf-8"))
    ]
    return [(text, label, "pointsman") for text, label in prompts] + experts


def _lines(block: str) -> Iterator[str]:
    return (re.sub(r" {4,}", " ", line.strip()) for line in block.splitlines() if line.strip())


def _fill(template: str, rng: random.Random) -> str:
    return re.sub(r"\{([^{}]+)\}", lambda slot: rng.choice(_choices(slot[1])), template)


def _choices(slot: str) -> list[str]:
    return (slot if "|" in slot else _SLOTS[slot]).split("|")
